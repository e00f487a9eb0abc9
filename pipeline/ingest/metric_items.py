"""A metric as plain JSON, read as a Delta: `{"name", "kind", "value", "labels", "timestamp"}`. Pure.

A counter's value is an increment, a gauge's its value, a histogram's `{"sum", "counts", "bounds"}` the increments.
What is understood here is understood by the drain: the same functions check it.
"""

from __future__ import annotations

import difflib
from functools import lru_cache
from typing import Any

import orjson

from monitoring.pipeline.events.defaults import Defaults
from monitoring.pipeline.events.delta import Delta, family_text
from monitoring.pipeline.events.lenient import NotAnEvent, decode
from monitoring.pipeline.events.signals import LATEST_NS
from monitoring.pipeline.events.timestamps import from_number, from_text
from monitoring.pipeline.ingest.naming import label_name, metric_name
from monitoring.pipeline.store.deltas import RESOURCE, DeltaInvalid, Family, read_family, read_labels, read_value

__all__ = ["delta_from_json_line"]

_ALIASES = {
    "type": "kind", "tags": "labels", "attributes": "labels", "dimensions": "labels",
    "ts": "timestamp", "time": "timestamp", "@timestamp": "timestamp", "description": "help", "metric": "name",
    "version": "release", "env": "environment",
}  # fmt: skip
_MEMBERS = ("name", "kind", "value", "labels", "timestamp", "unit", "help", "across", "bounds", *RESOURCE)
_KINDS = ("counter", "gauge", "histogram")


def delta_from_json_line(line: bytes, defaults: Defaults) -> Delta:
    """The delta of one JSON object. Raises NotAnEvent with the reason."""
    item = _members(decode(line))
    try:
        return _delta(item, defaults)
    except DeltaInvalid as error:
        raise NotAnEvent(str(error)) from None


def _members(item: dict[str, Any]) -> dict[str, Any]:
    """The members by the names that we give them."""
    found: dict[str, Any] = {}
    for name, value in item.items():
        known = _ALIASES.get(name, name)
        if known not in _MEMBERS:
            near = difflib.get_close_matches(name[:60], _MEMBERS, 1, 0.6)
            raise NotAnEvent(
                f"there is no member {name[:60]!r}" + (f": did you mean {near[0]}?" if near else "; put it into labels")
            )
        if value is not None:
            if known in found:
                raise NotAnEvent(f"{known} is said twice")
            found[known] = value
    return found


def _delta(item: dict[str, Any], defaults: Defaults) -> Delta:
    name, value = item.get("name"), item.get("value")
    if type(name) is not str or not name:
        raise NotAnEvent("name is missing")
    kind = _kind(item.get("kind"), name, value)
    bounds = item.get("bounds")
    if kind == "histogram":
        value, bounds = _histogram(value, bounds)
    elif bounds is not None:
        raise NotAnEvent(f"bounds do not go with a {kind}")
    elif type(value) is str:
        value = _number(value)
    described = tuple(item.get(member, "") for member in ("across", "unit", "help"))
    if not all(type(text) is str for text in described):
        raise NotAnEvent("across, unit or help is no text")
    text, family = _family(name, kind, described, orjson.dumps(bounds or []))
    written = orjson.dumps(value).decode()
    read_value(family, written)
    labels = _labels(item.get("labels", {}), kind)
    origin = {part: _text(item.get(part, labels.pop(part, "")), part) for part in RESOURCE}
    service = defaults.service or origin["service"] or defaults.fallback_service
    return Delta(
        timestamp=_timestamp(item.get("timestamp"), defaults),
        window=0,
        service=service,
        environment=origin["environment"] or defaults.environment,
        release=origin["release"] or defaults.release,
        host=origin["host"] or defaults.host,
        family=text,
        labels=orjson.dumps(labels, option=orjson.OPT_SORT_KEYS).decode(),
        value=written,
    )


def _kind(kind: Any, name: str, value: Any) -> str:
    if kind is None:  # only where there is no doubt
        kind = "histogram" if type(value) is dict else "counter" if name.endswith("_total") else None
    found = kind.lower() if type(kind) is str else kind
    if found not in _KINDS:
        raise NotAnEvent(f"kind is missing or unknown: {', '.join(_KINDS[:2])} or {_KINDS[2]}")
    return str(found)


def _histogram(value: Any, bounds: Any) -> tuple[dict[str, Any], Any]:
    if type(value) is not dict or not value.keys() <= {"sum", "counts", "bounds", "count"}:
        raise NotAnEvent('a histogram\'s value is {"sum", "counts", "bounds"}')
    bounds = value.get("bounds", bounds)
    if type(bounds) is not list:
        raise NotAnEvent("a histogram has bounds: a list of numbers that rise")
    return {"sum": value.get("sum"), "counts": value.get("counts")}, bounds


def _number(text: str) -> Any:
    try:
        return orjson.loads(text.strip())
    except orjson.JSONDecodeError:
        raise NotAnEvent(f"{text[:20]!r} is no number") from None


@lru_cache(maxsize=4096)
def _family(name: str, kind: str, described: tuple[str, str, str], bounds: bytes) -> tuple[str, Family]:
    across, unit, prose = described
    base = metric_name(name, "", kind)
    if not base:
        raise NotAnEvent(f"{name[:60]!r} cannot name a metric")
    members: dict[str, Any] = {"name": base, "kind": kind, "across": across or None, "unit": unit, "help": prose}
    text = family_text(**members, bounds=tuple(orjson.loads(bounds)))
    return text, read_family(text)


def _labels(found: Any, kind: str) -> dict[str, str]:
    if type(found) is not dict:
        raise NotAnEvent("labels are no object")
    labels = {label_name(name): _text(value, name) for name, value in found.items() if value is not None}
    if kind == "histogram" and "le" in labels:
        raise NotAnEvent("le cannot name a label of a histogram: its buckets have it")
    return read_labels(orjson.dumps(labels).decode())


def _text(value: Any, name: str) -> str:
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) in (int, float):
        return str(value)
    raise NotAnEvent(f"{name[:60]} is neither text nor a number")


def _timestamp(value: Any, defaults: Defaults) -> int:
    """Nanoseconds; not after a day from now, as of events."""
    if value is None:
        return defaults.received_ns
    found: int | None = None
    if type(value) is str:
        found = from_text(value, defaults.zone, defaults.reference_ns)
    elif type(value) in (int, float):
        try:
            found = from_number(value)
        except ValueError:
            found = None
    if found is None:
        raise NotAnEvent(f"{str(value)[:40]!r} is no time")
    return min(max(found, 0), defaults.latest_ns, LATEST_NS)
