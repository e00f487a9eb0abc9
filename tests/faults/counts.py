"""What a producer of metrics writes down beside the product, and what it must have come to in the store.

    m <n> <json>    round n is about to be counted: {shard: increment}, whole numbers
    a <n>           the product acknowledged all rounds up to n at A1 (fsynced in a spool) or above
    s <n>           the product said that all rounds up to n are committed
    c               the producer closed in order: every round is in the store

Each line is fsynced, `m` before the product is given the round and `a` after it took it, as in `journal`. Rounds count
from 0 without gaps and go to the store in order, so what is stored is what some number of whole rounds add up to.
Standard library only: the checker stands on this.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

__all__ = ["COUNTS", "Counts", "CountsJournal", "Totals", "last_round", "read_counts"]

COUNTS = ".counts"
_TAIL_BYTES = 4096
"""The end of a journal in which its last lines of each kind are: those of a few rounds."""

Totals = Mapping[str, int | float]
"""By shard."""


class CountsJournal:
    """Appends to one producer's journal. The order of calls is `intend`, give it to the product, `acknowledge`."""

    def __init__(self, directory: Path, producer: str) -> None:
        self.producer = producer
        self.next = 0
        self._handle = os.open(directory / f"{producer}{COUNTS}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)

    def intend(self, increments: Mapping[str, int]) -> int:
        """Write down what is about to be counted; the number of this round."""
        self._write(f"m {self.next} {json.dumps(increments)}\n")
        self.next += 1
        return self.next - 1

    def acknowledge(self, number: int) -> None:
        """The product said that it has this round and all before it, at A1 or above."""
        self._write(f"a {number}\n")

    def stored(self, number: int) -> None:
        """The product said that this round and all before it are committed."""
        self._write(f"s {number}\n")

    def conclude(self) -> None:
        """All is in the store, and the producer has closed."""
        self._write("c\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def _write(self, text: str) -> None:
        data = text.encode()
        while data:
            data = data[os.write(self._handle, data) :]
        os.fsync(self._handle)


@dataclass(slots=True)
class Counts:
    """One producer's journal, read: so many of its rounds were acknowledged."""

    rounds: list[dict[str, int]] = field(default_factory=list)
    acknowledged: int = 0
    troubles: list[str] = field(default_factory=list)

    def total(self, rounds: int) -> Counter[str]:
        """What so many rounds add up to."""
        total: Counter[str] = Counter()
        for increments in islice(self.rounds, rounds):
            total.update(increments)
        return total

    def matches(self, stored: Totals) -> int | None:
        """How many rounds these totals are, of those that were acknowledged and however many more; None if none fit."""
        total = self.total(self.acknowledged)
        for number in range(self.acknowledged, len(self.rounds) + 1):
            if {shard: value for shard, value in total.items() if value} == stored:
                return number
            if number < len(self.rounds):
                total.update(self.rounds[number])
        return None


def read_counts(path: Path) -> Counts:
    """A journal. A torn last line (its writer was killed) is left out; anything else odd is a trouble."""
    counts = Counts()
    with path.open() as file:
        for line in file:
            if line.endswith("\n"):
                _read_line(counts, line.rstrip())
    return counts


def last_round(path: Path, kind: str) -> int:
    """Number in the newest line of a kind; -1 where there is none yet."""
    if not path.exists():
        return -1
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode().split("\n")[:-1]
    return next((int(line.split()[1]) for line in reversed(lines) if line.startswith(f"{kind} ")), -1)


def _read_line(counts: Counts, line: str) -> None:
    kind, *rest = line.split(" ", 2)
    try:
        if kind == "m":
            if int(rest[0]) != len(counts.rounds):
                raise ValueError(f"round {len(counts.rounds)} is missing")
            counts.rounds.append(json.loads(rest[1]))
        elif kind in ("a", "s"):
            if not 0 <= int(rest[0]) < len(counts.rounds):
                raise ValueError("answers what was never counted")
            counts.acknowledged = max(counts.acknowledged, int(rest[0]) + 1)
        elif kind == "c":
            counts.acknowledged = len(counts.rounds)
        else:
            raise ValueError("not a journal's line")
    except (ValueError, IndexError) as error:
        counts.troubles.append(f"{line[:80]!r}: {error}")
