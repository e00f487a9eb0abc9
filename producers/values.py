"""Values of the application as JSON text, at once: what is logged is what they were when it was logged.

orjson does the ordinary ones in a fraction of a microsecond. What it cannot do (other types, numbers beyond 64 bits,
cycles, broken text) and what would be too large is rebuilt first, bounded in depth, length and number.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Set
from itertools import islice
from typing import Any

import orjson

from monitoring.pipeline.events.event import MAX_EVENT_BYTES
from monitoring.producers import foreign

__all__ = ["MAX_DEPTH", "MAX_ITEMS", "MAX_TEXT", "bounded", "encode", "shown", "text_of"]

MAX_DEPTH = 8
"""Of what has to be rebuilt; real attributes stay below five."""
MAX_ITEMS = 256
"""Of a collection that has to be rebuilt: enough to recognise it."""
MAX_TEXT = 8 << 10
"""Characters of a text in what has to be rebuilt: half of what Sentry and Datadog keep of a whole event."""
MAX_SHOWN = 1024
"""Characters of an object's `repr`."""
_LARGE = MAX_EVENT_BYTES // 4
"""An event's attributes are cut beyond this, so that with its message it stays below the most an event may have."""
_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
_PRINTABLE_BITS = 1 << 13
"""Python refuses to print integers of more than 4,300 digits, and takes its time for large ones."""


_BUILT_IN = frozenset({dict, list, tuple, set, frozenset})
"""Collections that run no code of the application's."""


def encode(fields: dict[str, Any]) -> str:
    """The JSON text of an object. Never raises; NaN and infinities become text, for JSON has none."""
    try:
        text = orjson.dumps(fields).decode()  # without options in three quarters of the time; the same text
    except (TypeError, ValueError, RecursionError):
        text = _dumped(fields)
    if not text or len(text) >= _LARGE or ("null" in text and _has_nonfinite(fields)):
        return _rebuilt(fields)
    return text


def _dumped(fields: dict[str, Any]) -> str:
    """As orjson has it with our options; "" where it cannot."""
    try:
        return orjson.dumps(fields, _plain, _OPTIONS).decode()
    except (TypeError, ValueError, RecursionError):
        return ""


def shown(value: object, limit: int = MAX_SHOWN) -> str:
    """`repr` of anything, bounded; an object that cannot be shown is named by its type."""
    try:
        text = foreign.call(repr, value)
    except Exception as error:
        return f"<{type(value).__name__}: its repr raised {type(error).__name__}>"
    return text if len(text) <= limit else f"{text[:limit]}…"


def text_of(message: object) -> str:
    """`str` of anything; where that fails, as `shown`."""
    try:
        return foreign.call(str, message)
    except Exception:
        return shown(message)


def bounded(value: Any, depth: int = MAX_DEPTH) -> Any:
    """The value rebuilt from what JSON has, cut where it is deep, long or many. Never raises."""
    simple = _SIMPLE.get(type(value))
    if simple is not None:
        return simple(value)
    if depth <= 0:
        return shown(value, 200)
    try:
        return foreign.call(_collection, value, depth) if type(value) not in _BUILT_IN else _collection(value, depth)
    except Exception as error:  # a mapping or sequence of the application's own that raises
        return f"<{type(value).__name__}: reading it raised {type(error).__name__}>"


def _collection(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        rebuilt = {_text(key): bounded(item, depth - 1) for key, item in islice(value.items(), MAX_ITEMS)}
        if len(value) > MAX_ITEMS:
            rebuilt["…"] = f"{len(value) - MAX_ITEMS} more"
        return rebuilt
    if isinstance(value, list | tuple | Set):
        items = [bounded(item, depth - 1) for item in islice(value, MAX_ITEMS)]
        return [*items, f"… {len(value) - MAX_ITEMS} more"] if len(value) > MAX_ITEMS else items
    try:
        return bounded(orjson.loads(orjson.dumps(value, _plain, _OPTIONS)), depth - 1)  # a date, an enum, numpy's
    except (TypeError, ValueError):
        return _cut(shown(value))


def _rebuilt(fields: dict[str, Any]) -> str:
    for limit in (MAX_TEXT, 256):
        names: Iterable[tuple[Any, Any]] = islice(fields.items(), MAX_ITEMS)
        text = orjson.dumps({_text(name): _shortened(bounded(value), limit) for name, value in names}).decode()
        if len(text) < _LARGE:
            return text
    return orjson.dumps({"truncated": shown(fields)[:MAX_SHOWN].encode("utf-8", "replace").decode()}).decode()


def _shortened(value: Any, limit: int) -> Any:
    if type(value) is str:
        return value if len(value) <= limit else f"{value[:limit]}…"
    if type(value) is list:
        return [_shortened(item, limit) for item in value]
    if type(value) is dict:
        return {key: _shortened(item, limit) for key, item in value.items()}
    return value


def _plain(value: Any) -> Any:
    """What orjson does not know by itself."""
    if isinstance(value, Set):
        return foreign.call(list, value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {foreign.call(str, value)}"
    if isinstance(value, Mapping):
        return foreign.call(dict, value)
    return shown(value)


def _has_nonfinite(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Whether a NaN or an infinity, which orjson writes as null, is in there."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if depth <= 0:
        return True  # rebuild it, which looks at everything that it keeps
    if isinstance(value, Mapping):
        return any(_has_nonfinite(item, depth - 1) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_has_nonfinite(item, depth - 1) for item in value)
    return value is not None and (dataclasses.is_dataclass(value) or type(value).__module__ == "numpy")


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else "NaN" if value != value else f"{'-' if value < 0 else ''}Infinity"


def _integer(value: int) -> int | str:
    if -(1 << 63) <= value < 1 << 64:
        return value
    return shown(value, 100) if value.bit_length() < _PRINTABLE_BITS else f"<int of {value.bit_length()} bits>"


def _text(value: Any) -> str:
    return _cut(value if type(value) is str else shown(value, 200))


def _cut(text: str) -> str:
    whole = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
    return whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_SIMPLE: dict[type, Callable[[Any], Any]] = {
    str: _cut,
    int: _integer,
    float: _number,
    bool: lambda value: value,
    type(None): lambda value: value,
}
