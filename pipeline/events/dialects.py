"""Records of loggers that nest what others write flat, brought to the flat form that `lenient` reads.

Each function takes a record and answers another with the same facts; none changes its argument.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

__all__ = ["SYSLOG_NAMES", "Record", "attribute_pairs", "dialect_of", "instant"]

Record = dict[str, Any]

SYSLOG_NAMES = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")
"""Names of the severities 0-7 of RFC 5424."""


def dialect_of(names: Collection[str]) -> Callable[[Record], Record] | None:
    """The function for records with these top-level names, or None where they are flat already."""
    if "record" in names and "text" in names:
        return _loguru
    if "short_message" in names:
        return _gelf
    if "t" in names and "s" in names and "c" in names and "msg" in names:
        return _mongodb
    return None


def _loguru(record: Record) -> Record:
    """loguru with `serialize=True`: {"text": the rendered line, "record": everything}."""
    inner = record["record"]
    if type(inner) is not dict or "message" not in inner:
        return record
    flat = {name: value for name, value in record.items() if name not in ("text", "record")}
    flat.update(inner)
    for name, member in (("level", "name"), ("time", "timestamp"), ("file", "path"), ("elapsed", "seconds")):
        if type(flat.get(name)) is dict and member in flat[name]:
            flat[name] = flat[name][member]
    if inner.get("exception"):
        # the record holds only type and value; the trace is in the rendered line, behind the message
        _, found, trace = str(record["text"]).partition("Traceback (most recent call last)")
        flat["exception"] = (found + trace).rstrip() or inner["exception"]
    return flat


def _gelf(record: Record) -> Record:
    """Graylog's format: severities of syslog, additional fields behind an underscore."""
    flat = {(name[1:] if name[:1] == "_" and len(name) > 1 else name): value for name, value in record.items()}
    flat.pop("version", None)
    level = flat.get("level")
    if type(level) is int and 0 <= level < len(SYSLOG_NAMES):
        flat["level"] = SYSLOG_NAMES[level]
    return flat


def _mongodb(record: Record) -> Record:
    """MongoDB 4.4 and later: t, s (severity), c (component), ctx, msg, attr."""
    severity = record["s"]
    if type(record["t"]) is not dict or type(severity) is not str or severity[:1] not in "FEWID":
        return record
    flat = {name: value for name, value in record.items() if name not in ("s", "c")}
    flat["level"] = severity[:1]
    flat["logger"] = record["c"]
    return flat


def instant(value: Record) -> Any:
    """The time in an object that holds one, as a number or text; None if there is none.

    log4j2 {"epochSecond", "nanoOfSecond"}, Google Cloud {"seconds", "nanos"}, MongoDB {"$date": …}.
    """
    for whole, rest in (("epochSecond", "nanoOfSecond"), ("seconds", "nanos")):
        seconds, nanos = value.get(whole), value.get(rest, 0)
        if str(seconds).isdecimal() and str(nanos).isdecimal():
            return f"{int(str(seconds))}.{int(str(nanos)):09d}"
    found = value.get("$date")
    return found if not isinstance(found, dict) else found.get("$numberLong")


def attribute_pairs(value: Any) -> Record | None:
    """The attributes of an OTLP list `[{"key": k, "value": {"stringValue": v}}, …]`; None if it is none."""
    if type(value) is not list or not all(type(pair) is dict and type(pair.get("key")) is str for pair in value):
        return None
    return {pair["key"]: any_value(pair.get("value")) for pair in value}


def any_value(value: Any) -> Any:
    """The value in OTLP's AnyValue `{"stringValue": …}`; anything else is answered as it is."""
    if type(value) is dict and len(value) == 1:
        (kind, content), *_ = value.items()
        if kind == "intValue":
            return int(content) if str(content).lstrip("-").isdecimal() else content
        if kind in ("stringValue", "boolValue", "doubleValue", "bytesValue"):
            return content
        if kind == "arrayValue" and type(content) is dict:
            return [any_value(item) for item in content.get("values", ())]
        if kind == "kvlistValue" and type(content) is dict:
            return attribute_pairs(content.get("values", [])) or {}
    return value
