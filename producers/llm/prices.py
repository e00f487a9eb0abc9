"""What tokens cost: a table of prices by model, which the user can replace.

    {"version": "2026-11", "currency": "USD",
     "models": {"gpt-4.1-mini": {"input": 0.4, "output": 1.6, "cached_input": 0.1},
                "support-bot-*": {"input": 0, "output": 0}}}

Prices are US dollars for a million tokens. A name with `*` stands for many; an exact name wins, then the longest. Costs
are floats: exact to about 15 digits, so a total of a million dollars is good to a billionth of one.
"""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from monitoring.pipeline.errors import SettingsError
from monitoring.producers.llm.price_table import BUILT_IN
from monitoring.producers.llm.recording import wrong

__all__ = ["MAX_BYTES", "Price", "PriceTable", "current", "use"]

MAX_BYTES = 4 << 20
"""Of a file of prices: the largest public list of a thousand models has half of it."""
_PER = 1_000_000
_KINDS = ("input", "output", "cached_input", "cache_write")
_TOP = ("version", "currency", "models")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens."""

    input: float
    output: float
    cached_input: float
    cache_write: float

    def cost(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0, cache_write_tokens: int = 0) -> float:
        """US dollars. `input_tokens` are all; those read from and written to the provider's cache are part of them."""
        plain = max(0, input_tokens - cached_tokens - cache_write_tokens)
        return (
            plain * self.input
            + cached_tokens * self.cached_input
            + cache_write_tokens * self.cache_write
            + output_tokens * self.output
        ) / _PER


class PriceTable:
    """Prices by model. `version` is the table's own word for how old it is."""

    def __init__(self, prices: Mapping[str, Price], version: str = "") -> None:
        self.version = version
        self._exact = {name.casefold(): price for name, price in prices.items() if "*" not in name}
        patterns = [(name.casefold(), price) for name, price in prices.items() if "*" in name]
        self._patterns = sorted(patterns, key=lambda item: -len(item[0]))
        self.find = lru_cache(maxsize=1024)(self._find)
        """The price of a model by its name, in any case; None where there is none."""

    def __len__(self) -> int:
        return len(self._exact) + len(self._patterns)

    def _find(self, model: str) -> Price | None:
        name = model.casefold()
        found = self._exact.get(name)
        if found is not None:
            return found
        return next((price for pattern, price in self._patterns if fnmatchcase(name, pattern)), None)

    @classmethod
    def from_data(cls, data: object) -> PriceTable:
        """The table of this JSON object. Raises SettingsError that names the field which cannot be used."""
        top = _object(data, "prices")
        _only(top, _TOP, "")
        if top.get("currency", "USD") != "USD":
            raise SettingsError(f"currency is {top['currency']!r}: only USD is counted; convert the prices")
        models = _object(top.get("models"), "models")
        version = top.get("version", "")
        return cls({name: _price(value, f"models.{name}") for name, value in models.items()}, str(version))

    @classmethod
    def from_file(cls, path: str | Path) -> PriceTable:
        """The table of a JSON file. Raises SettingsError that names the file and the field."""
        try:
            with Path(path).open("rb") as file:
                text = file.read(MAX_BYTES + 1)
            if len(text) > MAX_BYTES:
                raise SettingsError(f"it is larger than {MAX_BYTES} bytes")
            return cls.from_data(orjson.loads(text))
        except (OSError, ValueError, SettingsError) as error:
            raise SettingsError(f"the prices in {path}: {error}") from None


def _object(value: object, field: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise SettingsError(f"{field}: expected an object, not {type(value).__name__}")
    return value


def _only(found: Mapping[str, Any], known: tuple[str, ...], within: str) -> None:
    for name in found:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else f": one of {', '.join(known)}"
            raise SettingsError(f"{within}{name} is not known{hint}")


def _price(value: object, field: str) -> Price:
    given = _object(value, field)
    _only(given, _KINDS, f"{field}.")
    numbers = {kind: _amount(given[kind], f"{field}.{kind}") for kind in _KINDS if kind in given}
    for kind in ("input", "output"):
        if kind not in numbers:
            raise SettingsError(f"{field}.{kind} is missing: US dollars for a million tokens")
    own = numbers["input"]
    return Price(own, numbers["output"], numbers.get("cached_input", own), numbers.get("cache_write", own))


def _amount(value: object, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise SettingsError(f"{field}={value!r} is not a price: US dollars for a million tokens")
    return float(value)


_chosen: PriceTable | None = None


def use(prices: Mapping[str, Any] | PriceTable | str | Path | None) -> None:
    """Count costs by these prices from now on: an object as in the module, or a file of it; None for the settings'.

    Raises SettingsError that names the field which cannot be used, for this is the program's own text.
    """
    global _chosen
    if isinstance(prices, str | Path):
        _chosen = PriceTable.from_file(prices)
    elif prices is None or isinstance(prices, PriceTable):
        _chosen = prices
    else:
        _chosen = PriceTable.from_data(prices)


def current() -> PriceTable:
    """The prices in force: what `use` was given, else the file of MONITORING_LLM_PRICES, else the built-in table."""
    return _chosen or _of_settings(_path_of_settings())


def _path_of_settings() -> str:
    """What the SDK was started with. A program that has not started it has not imported it, and need not."""
    sdk = sys.modules.get("monitoring.producers.sdk")
    running = sdk.running() if sdk is not None else None
    return running.settings.text("llm_prices") if running is not None else ""


@lru_cache(maxsize=4)
def _of_settings(path: str) -> PriceTable:
    """Read once. A file that cannot be used is told, and nothing has a price then: other prices would be a guess."""
    if not path:
        return PriceTable.from_data(BUILT_IN)
    try:
        return PriceTable.from_file(path)
    except SettingsError as error:
        wrong(f"MONITORING_LLM_PRICES: {error}; no costs are counted")
        return PriceTable({})
