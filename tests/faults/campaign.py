"""A campaign: so many faults over so many events, one after the other, and the checker's word at the end.

Fault number n of a seed is always the same one with the same chances, so a failure is played again by its seed,
and a campaign that was interrupted goes on where it stood.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults import checker
from tests.faults.bus import Bus
from tests.faults.kinds import Kind, possible
from tests.faults.product import Product

__all__ = ["Campaign", "Outcome"]

TWICE = "two faults in a row"
_STATE = "state.json"


@dataclass(slots=True)
class Outcome:
    """What happened: recovery seconds of each fault by kind, and what the checker found."""

    seed: int
    done: int = 0
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Whether nothing was lost, doubled or miscounted."""
        return bool(self.report.get("ok"))


class Campaign:
    """Runs in a directory, which holds the store, the journals and the state."""

    def __init__(
        self,
        root: Path,
        *,
        seed: int,
        rate: int,
        say: Callable[[str], None],
        only: str = "",
        again: float = 0.0,
        bus: Callable[[Path], Any] = Bus,
        kinds: Callable[[Product], list[Kind]] = possible,
    ) -> None:
        """`only` takes the kinds whose names contain it; `again` is the share of faults that a second one follows
        before the product has recovered from the first. `bus` is that of `Product`, `kinds` what can happen to it."""
        self.root, self._say, self._only, self._again = root, say, only, again
        root.mkdir(parents=True, exist_ok=True)
        self.outcome = self._load(seed)
        self.product = Product(root, seed=self.outcome.seed, rate=rate, bus=bus)
        self._kinds = kinds

    def run(self, *, faults: int, events: int, deadline: float = float("inf")) -> Outcome:
        """Strike until there were so many faults over so many events, or the deadline (monotonic) has come."""
        product = self.product
        try:
            product.start()
            kinds = [kind for kind in self._kinds(product) if self._only in kind.name]
            began = time.monotonic()
            while (self.outcome.done < faults or product.stored() < events) and time.monotonic() < deadline:
                if self.outcome.done < faults:
                    self._strike(kinds, faults, began)
                else:
                    time.sleep(1.0)
            product.finish()
            report = checker.check(product.data, product.journals).as_dict()
            self.outcome.report = {
                name: {str(key): count for key, count in value.items()} if isinstance(value, dict) else value
                for name, value in report.items()
            }
            if doubts := product.verify():
                self.outcome.report |= {"ok": False, "verify": doubts}
            self._save()
        finally:
            product.close()
        return self.outcome

    def _strike(self, kinds: list[Kind], faults: int, began: float) -> None:
        number = self.outcome.done
        deck = list(kinds)
        random.Random(f"{self.outcome.seed}/{number // len(kinds)}").shuffle(deck)
        kind = deck[number % len(kinds)]
        chance = random.Random(f"{self.outcome.seed}/{number}/{kind.name}")
        kind.strike(self.product, chance)
        name = said = kind.name
        if chance.random() < self._again:
            second = chance.choice(kinds)
            second.strike(self.product, chance)
            name, said = TWICE, f"{kind.name}, then {second.name}"
        seconds = kind.recovered(self.product)
        self.outcome.recoveries.setdefault(name, []).append(seconds)
        self.outcome.done += 1
        self._save()
        self._say(
            f"{time.monotonic() - began:6.0f} s  fault {number + 1}/{faults} (seed {self.outcome.seed}): {said},"
            f" recovered in {seconds:.1f} s"
        )

    def _load(self, seed: int) -> Outcome:
        file = self.root / _STATE
        return Outcome(**json.loads(file.read_text())) if file.exists() else Outcome(seed)

    def _save(self) -> None:
        (self.root / _STATE).write_text(json.dumps(asdict(self.outcome)))
