"""A JSON object of anybody's logger, read as an Event.

    bytes --orjson--> record --dialect--> flat record --plan for its names--> Event

Records of one program have the same names in the same order, so what fills which field is decided once for
a tuple of names (a plan) and kept: 4 us instead of 12 for a typical line. A value that cannot fill its
field (`"level": "funny"`) is set aside for the attributes and the rest planned again; nothing is dropped
but nulls and empty text.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, NamedTuple, cast

import orjson

from monitoring.pipeline.events import levels
from monitoring.pipeline.events.aliases import CONTAINERS, MERGED, NESTED_ROLES, ROLES, TWINS
from monitoring.pipeline.events.defaults import Defaults
from monitoring.pipeline.events.dialects import SYSLOG_NAMES, Record, any_value, attribute_pairs, dialect_of, instant
from monitoring.pipeline.events.event import COLUMNS, MAX_EVENT_BYTES, Event, Rejected
from monitoring.pipeline.events.timestamps import from_number, from_text, usual

__all__ = [
    "MAX_DEPTH",
    "MAX_FIELDS",
    "MAX_RAW_BYTES",
    "UNSAID",
    "Defaults",
    "NotAnEvent",
    "check_fields",
    "complete",
    "decode",
    "event_from_json_line",
    "exception_text",
    "read_record",
    "rejected",
]

MAX_DEPTH = 32
"""Deepest nesting of an event. Real events stay below ten; SQLite's JSON ends at 1,000, orjson's writer at 254."""
MAX_FIELDS = 1000
"""Members of an event's attributes, nested ones included. Somebody's data under keys of their own, not a log line, has
more; Elasticsearch allows a whole index so many. Events in use have up to a hundred."""
MAX_RAW_BYTES = 64 << 10
"""What is kept of input that could not be understood: enough to repair and replay all but the largest."""
MAX_NAME_CHARS = 256
"""Longest service, logger, host, environment or release: these are indexed once for each distinct text."""
UNSAID = -1
"""Timestamp, or level, of an event that told none; `complete` replaces it. Never leaves this package."""


class NotAnEvent(ValueError):
    """The input cannot be read as an event; `reason` says why in words that do not vary with the input."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def event_from_json_line(line: bytes | Record, defaults: Defaults) -> Event:
    """The event of one JSON object, as text or already decoded. Raises NotAnEvent with the reason."""
    if type(line) is dict:
        return complete(_encodable(read_record(line, defaults), line, defaults), defaults.received_ns)
    return complete(read_record(decode(cast(bytes, line)), defaults), defaults.received_ns)


def _encodable(event: Event, record: Record, defaults: Defaults) -> Event:
    """The event, of a record that did not come from `decode`, without lone surrogates."""
    try:
        for text in event[2:]:
            text.encode()
    except UnicodeEncodeError:
        return read_record(_clean(record), defaults)
    return event


def complete(event: Event, missing_ns: int, missing_level: int = levels.DEFAULT_LEVEL) -> Event:
    """The event with its time and level filled in where it told none."""
    if event[0] != UNSAID and event[1] != UNSAID:
        return event
    return event._replace(
        timestamp=missing_ns if event.timestamp == UNSAID else event.timestamp,
        level=missing_level if event.level == UNSAID else event.level,
    )


def rejected(reason: str, raw: bytes, source: str = "", line: int = 0) -> Rejected:
    """What becomes of input that is no event: its reason and the first 64 KiB of it."""
    return Rejected(reason, raw[:MAX_RAW_BYTES], source, line)


def decode(line: bytes) -> Record:
    """The JSON object in a line; NaN and Infinity, as Python writes them, become text. Raises NotAnEvent."""
    if len(line) > MAX_EVENT_BYTES:
        raise NotAnEvent(f"longer than {MAX_EVENT_BYTES} bytes")
    try:
        record = orjson.loads(line)
    except ValueError as error:
        record = _decode_loosely(line, str(error))
    if type(record) is not dict:
        raise NotAnEvent("not a JSON object")
    return record


_BAD_BYTE = re.compile("[\udc80-\udcff]")
_LOOSE = json.JSONDecoder(parse_constant=str, strict=False)


def _decode_loosely(line: bytes, problem: str) -> Any:
    """JSON that is not quite JSON: NaN, lone surrogates, bytes that are not UTF-8 (kept as `\\xff`)."""
    text = line.decode("utf-8", "surrogateescape")
    text = _BAD_BYTE.sub(lambda match: rf"\\x{ord(match[0]) - 0xDC00:02x}", text)
    try:
        return _clean(_LOOSE.decode(text))
    except RecursionError:
        raise NotAnEvent(f"nested deeper than {MAX_DEPTH} levels") from None
    except ValueError:
        raise NotAnEvent(f"not valid JSON: {problem.partition(': line')[0]}") from None


def _clean(value: Any, depth: int = MAX_DEPTH) -> Any:
    """The value in what orjson can write: no lone surrogates, no integers beyond 64 bits, nothing but JSON's types."""
    if depth < 0:
        raise NotAnEvent(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 64 else str(value) if abs(value) < 1 << 4096 else "a huge number"
    if isinstance(value, dict):
        return {_clean(str(name)): _clean(member, depth - 1) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(member, depth - 1) for member in value]
    return _clean(str(value))


# --- plans -----------------------------------------------------------------------------------------------

_ROLE_OF = {name: (role, rank) for role, names in ROLES.items() for rank, name in enumerate(names)}
_COLUMN = {name: index for index, name in enumerate(COLUMNS)}
_SERVICE, _MESSAGE, _EXCEPTION = _COLUMN["service"], _COLUMN["message"], _COLUMN["exception"]
_TRACE, _SPAN = _COLUMN["trace_id"], _COLUMN["span_id"]
_LIFTED = frozenset(NESTED_ROLES)
_IDS = frozenset({_TRACE, _SPAN})
_ODD_IDS = frozenset("0p")
_TENS = (1, 5, 9, 13, 17, 21)
_SPECIAL = frozenset({"timestamp", "level", "exception"})
_WEAK_TIMES = frozenset({"t", "date", "datetime", "created", "created_at", "epoch", "logged_at", "log_time"})
"""Names that mean the event's time only if their value looks like one; they name other things as well."""
_PLAUSIBLE_NS = 10**17
"""A smaller number under a weak name is a duration or a count: it would be before March 1973."""
_WEAK_EXCEPTIONS = frozenset({"stack", "err", "error", "full_message", "traceback"})
"""Names that mean an exception only if their value is a trace; `"error": "timeout"` is an attribute."""
_TRACE_NAMES = frozenset({"stack", "stack_trace", "stacktrace", "stackTrace", "traceback", "trace"})


class _Plan(NamedTuple):
    """What to do with records of one tuple of names.

    `timestamp`, `level` and `exception` are the best names for them or None; `texts` are column and name of
    the other fields; `rest` are the names of attributes, `merged` the objects whose members are attributes
    too, `nested` the names whose value may have to be opened first, `dialect` the function for records that
    are not flat.
    """

    timestamp: str | None
    level: str | None
    exception: str | None
    texts: tuple[tuple[int, str], ...]
    rest: tuple[str, ...]
    merged: tuple[str, ...]
    nested: tuple[str, ...]
    dialect: Any


@lru_cache(maxsize=4096)
def _plan(names: tuple[str, ...]) -> _Plan:
    best: dict[str, tuple[int, str]] = {}
    for name in names:
        role, rank = _ROLE_OF.get(name, ("", 0))
        if role and (role not in best or rank < best[role][0]):
            best[role] = (rank, name)
    chosen = {role: name for role, (rank, name) in best.items()}
    taken = {*chosen.values(), *MERGED, *(TWINS if "level" in chosen else ())}
    return _Plan(
        timestamp=chosen.get("timestamp"),
        level=chosen.get("level"),
        exception=chosen.get("exception"),
        texts=tuple((_COLUMN[role], name) for role, name in chosen.items() if role not in _SPECIAL),
        rest=tuple(name for name in names if name not in taken),
        merged=tuple(name for name in MERGED if name in names),
        nested=tuple(name for name in names if name in CONTAINERS or name in MERGED),
        dialect=dialect_of(names),
    )


# --- reading ---------------------------------------------------------------------------------------------


def read_record(record: Record, defaults: Defaults) -> Event:
    """The event of a decoded JSON object; time and level are UNSAID where it tells none. Raises NotAnEvent.

    The record is one of `decode`, or holds no lone surrogates.
    """
    plan = _plan(tuple(record))
    if plan.dialect is not None:
        record = plan.dialect(record)
        plan = _plan(tuple(record))
    for name in plan.nested:
        value = record[name]
        if (type(value) is dict and (name in CONTAINERS or not _LIFTED.isdisjoint(value))) or type(value) is list:
            record = _opened(record)
            plan = _plan(tuple(record))
            break
    try:
        return _fill(record, plan, defaults, {})
    except TypeError:  # lone surrogates in attributes, integers beyond 64 bits, values of no JSON type
        record = _clean(record)
        return _fill(record, _plan(tuple(record)), defaults, {})


def _fill(record: Record, plan: _Plan, defaults: Defaults, aside: Record) -> Event:
    """The event of a flat record; `aside` collects what could not fill its field."""
    # fmt: off
    values: list[Any] = [UNSAID, UNSAID, defaults.fallback_service, defaults.environment, defaults.release, "",
                         defaults.host, "", "", "", "", "", ""]
    # fmt: on
    unusable = _fill_texts(values, record, plan, aside) or _fill_specials(values, record, plan, defaults, aside)
    if unusable:
        return _fill_without(unusable, record, defaults, aside)
    if defaults.service and values[_SERVICE] != defaults.service:
        if any(column == _SERVICE for column, name in plan.texts):
            aside["service_original"] = values[_SERVICE]
        values[_SERVICE] = defaults.service
    values[-1] = text = _attributes(record, plan, aside)
    if len(values[_MESSAGE]) + len(values[_EXCEPTION]) + len(text) > MAX_EVENT_BYTES // 4:
        _check_size(values)
    return Event._make(values)


def _fill_texts(values: list[Any], record: Record, plan: _Plan, aside: Record) -> str:
    """Fill the fields of text; the name whose value cannot, or ""."""
    for column, name in plan.texts:
        value = record[name]
        if type(value) is not str or not value:
            found = _text_of(value, column)
            if found is None:
                return name
            value = found
        if len(value) > MAX_NAME_CHARS and column < _MESSAGE:
            aside[f"{COLUMNS[column]}_original"] = value
            value = value[:MAX_NAME_CHARS]
        elif value[0] in _ODD_IDS and column in _IDS:
            value = _id_of(value)
        values[column] = value
    return ""


def _fill_specials(values: list[Any], record: Record, plan: _Plan, defaults: Defaults, aside: Record) -> str:
    """Fill time, level and exception; the name whose value cannot, or ""."""
    name = plan.timestamp
    if name is not None:
        value = record[name]
        found = usual(value, defaults.zone) if type(value) is str else None
        if found is None:
            found = _time_of(value, name, defaults)
            if found is None:
                return name
        values[0] = found
        if not 0 <= found <= defaults.latest_ns:
            aside["timestamp_original"] = record[name]
            values[0] = min(max(found, 0), defaults.latest_ns)
    name = plan.level
    if name is not None:
        found = _level_of(record[name], name)
        if found is None:
            return name
        values[1] = found
    name = plan.exception
    if name is not None:
        trace = _exception_of(record[name], name)
        if trace is None:
            return name
        values[_EXCEPTION] = trace
    return ""


def _fill_without(name: str, record: Record, defaults: Defaults, aside: Record) -> Event:
    """The event of the record without a name whose value cannot fill its field; the next best name may."""
    value = record[name]
    if value is not None and not (isinstance(value, str | list | dict) and not value):
        aside[f"{name}_original" if name in _COLUMN else name] = value
    record = {other: value for other, value in record.items() if other != name}
    return _fill(record, _plan(tuple(record)), defaults, aside)


def _text_of(value: Any, column: int) -> str | None:
    """The text of a value that is not simply one; None where it cannot stand in this column."""
    value = any_value(value)
    if isinstance(value, str):
        return value or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if column == _MESSAGE and isinstance(value, dict | list) and value:
        return orjson.dumps(value).decode()
    return None


def _time_of(value: Any, name: str, defaults: Defaults) -> int | None:
    """Nanoseconds of a value under this name, not yet clamped; None where it is no time."""
    if type(value) is str:
        found = from_text(value, defaults.zone, defaults.reference_ns)
    elif type(value) is dict:
        return _time_of(instant(value), name, defaults)
    elif type(value) is int or type(value) is float:
        try:
            found = from_number(value)
        except ValueError:
            return None
    else:
        return None
    if found is None or (name in _WEAK_TIMES and found < _PLAUSIBLE_NS):
        return None
    return found


def _level_of(value: Any, name: str) -> int | None:
    """Severity 1-24 of a value under this name; None where it is no level."""
    if type(value) is dict:
        value = value.get("name")
    if type(value) is str:
        if len(value) > 40:
            return None
        found = _level_of_text(value)
        return found if found is not None or not value.isdecimal() else _level_of_number(int(value), name)
    return _level_of_number(int(value), name) if type(value) in (int, float) and abs(value) < 1e6 else None


@lru_cache(maxsize=1024)
def _level_of_text(text: str) -> int | None:
    found = levels.parse(text)
    match = re.fullmatch(r"([A-Z]+)([+-]\d{1,2})", text) if found is None else None
    if match is not None:  # Go's slog writes the levels between its names as INFO+2
        base = levels.parse(match[1])
        found = None if base is None else min(max(base + int(match[2]), 1), 24)
    return found


def _level_of_number(number: int, name: str) -> int | None:
    """Numbers mean what the name says: OpenTelemetry's 1-24, Python's and logback's tens, syslog's 0-7.

    Under a plain `level` they are those of pino and bunyan: 10 TRACE, 20 DEBUG, 30 INFO … 60 FATAL.
    """
    if name in ("severityNumber", "SeverityNumber", "severity_number"):
        return number if 1 <= number <= 24 else None
    if "syslog" in name:
        return levels.parse(SYSLOG_NAMES[number]) if 0 <= number <= 7 else None
    if name == "levelno" or (name == "level_value" and number < 100):
        return _TENS[min(max(number // 10 + 1, 1), 6) - 1]
    if number >= 1000:  # logback: 5000 TRACE, 10000 DEBUG, 20000 INFO, 30000 WARN, 40000 ERROR
        return _TENS[min(number // 10_000, 5)]
    return _TENS[min(number // 10, 6) - 1] if number >= 10 else None


def _exception_of(value: Any, name: str) -> str | None:
    """JSON text of an exception: a string or an object; None where the value tells of none."""
    if type(value) is str:
        if not value or (name in _WEAK_EXCEPTIONS and "\n" not in value):
            return None
        return exception_text(value)
    if type(value) is dict and value:
        if name in _WEAK_EXCEPTIONS and not (_TRACE_NAMES & value.keys() or ("message" in value and "type" in value)):
            return None
        return orjson.dumps(value).decode()
    if type(value) is list and value and name not in _WEAK_EXCEPTIONS:
        return orjson.dumps({"exceptions": value}).decode()
    return None


def exception_text(trace: str) -> str:
    """A stack trace as the `exception` of an event."""
    return orjson.dumps(trace).decode()


def _id_of(text: str) -> str:
    """A trace or span id without 0x or Google's path; "" for the id of zeros that stands for none."""
    text = text.rpartition("/")[2] if text.startswith("projects/") else text.removeprefix("0x")
    return text if text.strip("0") else ""


def _attributes(record: Record, plan: _Plan, aside: Record) -> str:
    """JSON text of what fills no field: "" where nothing is left. Raises NotAnEvent for nesting too deep."""
    attributes: Record = {name: record[name] for name in plan.rest} if plan.rest else {}
    for name in plan.merged:
        members = record[name]
        if type(members) is not dict:
            if members is not None and members != "" and members != []:
                attributes[name] = members
        elif not attributes:
            attributes = members
        else:
            attributes = {
                **attributes,
                **{
                    (f"{name}.{member}" if member in attributes else member): value for member, value in members.items()
                },
            }
    if aside:
        attributes = {**attributes, **aside}
    if not attributes:
        return ""
    text = orjson.dumps(attributes)
    if text.count(b"{") + text.count(b"[") > MAX_DEPTH and _deeper(attributes, MAX_DEPTH):
        raise NotAnEvent(f"nested deeper than {MAX_DEPTH} levels")
    check_fields(attributes, text)
    return text.decode()


def check_fields(attributes: Record, text: bytes) -> None:
    """Raises NotAnEvent where these attributes, `text` in JSON, have too many members. Costs nothing for short ones."""
    if len(text) > 4 * MAX_FIELDS and text.count(b'":') > MAX_FIELDS and _members(attributes) > MAX_FIELDS:
        raise NotAnEvent(f"more than {MAX_FIELDS} fields")


def _members(value: Any) -> int:
    """How many members the objects in a value have."""
    inner = value.values() if type(value) is dict else value if type(value) is list else ()
    return (len(value) if type(value) is dict else 0) + sum(map(_members, inner))


def _deeper(value: Any, depth: int) -> bool:
    """Whether a value nests deeper than `depth` levels."""
    members = value.values() if type(value) is dict else value if type(value) is list else ()
    return depth < 0 or any(_deeper(member, depth - 1) for member in members)


def _check_size(values: list[Any]) -> None:
    if sum(len(text.encode()) for text in values[2:]) > MAX_EVENT_BYTES:
        raise NotAnEvent(f"longer than {MAX_EVENT_BYTES} bytes")


def _opened(record: Record) -> Record:
    """The record with `{"trace": {"id": …}}` as `trace.id`, and ids in merged objects lifted to the top."""
    flat: Record = {}
    for name, value in record.items():
        if type(value) is dict and name in CONTAINERS:
            members = _resource(value) if name == "resource" else value
            if name in _COLUMN or name == "resource" or any(f"{name}.{member}" in _ROLE_OF for member in members):
                for member, content in members.items():
                    bare = name == "resource" and member in _ROLE_OF and "." in member
                    flat.setdefault(member if bare else f"{name}.{member}", content)
                continue
        pairs = attribute_pairs(value) if name in MERGED else None
        flat[name] = value if pairs is None else pairs
    filled = {_ROLE_OF[name][0] for name in flat if name in _ROLE_OF}
    for name in MERGED:
        merged = flat.get(name)
        if type(merged) is not dict or _LIFTED.isdisjoint(merged):
            continue
        rest = dict(merged)
        for member in merged:
            role = NESTED_ROLES.get(member)
            if role is not None and role not in filled and member not in flat:
                flat[member] = rest.pop(member)
                filled.add(role)
        flat[name] = rest
    return flat


def _resource(value: Record) -> Record:
    """The attributes of an OpenTelemetry resource, in any of its three spellings."""
    inner = value.get("attributes")
    if type(inner) is dict:
        return cast(Record, inner)
    pairs = attribute_pairs(inner)
    return value if pairs is None else pairs
