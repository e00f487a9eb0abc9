"""What all of `monitoring.llm` shares: its events have one form, and nothing of it raises into the application."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

from monitoring.producers.client import active
from monitoring.producers.logger import INFO, threshold
from monitoring.producers.values import shown

__all__ = [
    "LOGGER",
    "MAX_NAME",
    "counted",
    "guarded",
    "label",
    "named_numbers",
    "number",
    "publish",
    "told_error",
    "wrong",
]

LOGGER = "monitoring.llm"
"""Logger of every event of this package."""
MAX_NAME = 200
"""Characters of a name that becomes a label: models, suites and paths of data sets stay below a hundred."""
_Arguments = ParamSpec("_Arguments")


def guarded(function: Callable[_Arguments, None]) -> Callable[_Arguments, None]:
    """The function, with whatever goes wrong in it counted and told instead of raised."""

    @functools.wraps(function)
    def wrapper(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except Exception as error:
            _report(function.__qualname__, error)

    return wrapper


def _report(doing: str, error: Exception) -> None:
    client = active()
    if client is not None:
        client.trouble.bug(f"llm: {doing} failed", error)


def wrong(text: str) -> None:
    """A value of the application's that cannot be used: counted as `llm_value`, and told."""
    client = active()
    if client is not None:
        client.trouble.count("llm_value")
        client.trouble.say(f"llm: {text}")


def publish(name: str, message: str, fields: dict[str, Any], *, level: int = INFO, optional: bool = False) -> None:
    """An event with this `event.name`, of a level like `logger.INFO`.

    LOG_LEVEL decides about optional ones only: the others are the record of a run, of which a page is made. On the
    console they, too, are seen at that level only.
    """
    client = active()
    if client is None:
        return
    heard = level >= threshold()
    if heard or not optional:
        client.log(level, LOGGER, message, {"event.name": name, **fields}, echo=heard)


def label(value: object) -> str:
    """Anything as the text of a label, bounded."""
    if type(value) is str and len(value) <= MAX_NAME:
        return value
    text = value if isinstance(value, str) else "" if value is None else shown(value)
    return text[:MAX_NAME]


def number(value: Any) -> float | None:
    """A float of whatever is a number: Python's, numpy's, a tensor of one element. None of anything else."""
    if type(value) is float:
        return value
    if isinstance(value, str | bytes):
        return None
    try:
        return float(value)
    except Exception:  # each library has its own error for "this is not one number"
        return None


def amount(value: Any, what: str) -> float | None:
    """A finite number that is 0 or more; None for None, and for what is none, which is told."""
    found = number(value)
    if found is not None and 0.0 <= found < _MAX_AMOUNT:
        return found
    if value is not None:
        wrong(f"{what}={shown(value, 40)} is not a number from 0 on")
    return None


def counted(value: Any, what: str) -> int:
    """A count that is 0 or more; 0 for None, and for what is none, which is told."""
    if type(value) is int and 0 <= value < _MAX_AMOUNT:
        return value
    return int(amount(value, what) or 0)


_MAX_AMOUNT = 2.0**53
"""Up to here a float holds every integer; no model has read so many tokens."""


def named_numbers(values: Mapping[str, Any], where: str) -> dict[str, float]:
    """Those that are numbers; None is passed over, for it stands where nothing was computed, the rest is told."""
    found: dict[str, float] = {}
    for name, value in values.items():
        as_float = number(value)
        if as_float is not None:
            found[name] = as_float
        elif value is not None:
            wrong(f"{where}: {name}={shown(value, 40)} is not a number")
    return found


def told_error(error: BaseException | str | None) -> dict[str, Any]:
    """The fields that tell of an error: the exception with its stack, but only a name where somebody asked to end."""
    if isinstance(error, Exception):
        return {"exc_info": error}
    if error is None:
        return {}
    return {"error": error if isinstance(error, str) else type(error).__name__}
