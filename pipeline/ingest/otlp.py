"""What all signals of OTLP share: values, attributes, and the resource that says where something comes from.

In protobuf and in JSON (OTLP 1.x, proto3's mapping with hexadecimal ids). Both become the same Python values, which
orjson can write: bytes as base64, what is no number (NaN, infinities) as its name.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from monitoring.pipeline.events.lenient import MAX_DEPTH, NotAnEvent
from monitoring.pipeline.ingest.documents import Unreadable, items

__all__ = ["Origin", "hex_id", "json_attributes", "json_value", "origin_of", "proto_attributes", "proto_value"]

_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
_UNKNOWN = "unknown_service"
"""What SDKs write, alone or before `:python`, where nobody told them: as good as nothing."""


class Origin(NamedTuple):
    """What a resource says of where something comes from; "" where it does not. `rest` are its other attributes."""

    service: str
    environment: str
    release: str
    host: str
    rest: dict[str, Any]


def origin_of(attributes: dict[str, Any]) -> Origin:
    """The origin that a resource's attributes tell, by OpenTelemetry's semantic conventions."""
    rest = dict(attributes)
    service = _taken(rest, "service.name")
    newer, older = _taken(rest, "deployment.environment.name"), _taken(rest, "deployment.environment")
    return Origin(
        service="" if service.startswith(_UNKNOWN) else service,
        environment=newer or older,
        release=_taken(rest, "service.version"),
        host=_taken(rest, "host.name"),
        rest=rest,
    )


def _taken(attributes: dict[str, Any], name: str) -> str:
    """The text of an attribute, which is taken out; one that is no text stays where it is."""
    if type(attributes.get(name)) is not str:
        return ""
    return str(attributes.pop(name))


def proto_attributes(pairs: Iterable[Any], depth: int = MAX_DEPTH) -> dict[str, Any]:
    """The attributes in KeyValue messages. Raises NotAnEvent for nesting too deep."""
    found = {}
    for pair in pairs:
        value = pair.value
        kind = value.WhichOneof("value")
        found[pair.key] = value.string_value if kind == "string_value" else _proto_value(value, kind, depth)
    return found


def proto_value(value: Any) -> Any:
    """The value of an AnyValue message, None for an empty one. Raises NotAnEvent for nesting too deep."""
    return _proto_value(value, value.WhichOneof("value"), MAX_DEPTH)


def _proto_value(value: Any, kind: str | None, depth: int) -> Any:
    if depth < 0:
        raise NotAnEvent(_TOO_DEEP)
    match kind:
        case "string_value" | "bool_value" | "int_value":
            return getattr(value, kind)
        case "double_value":
            return _number(value.double_value)
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode()
        case "array_value":
            return [_proto_value(item, item.WhichOneof("value"), depth - 1) for item in value.array_value.values]
        case "kvlist_value":
            return proto_attributes(value.kvlist_value.values, depth - 1)
    return None


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def json_attributes(pairs: list[Any], depth: int = MAX_DEPTH) -> dict[str, Any]:
    """The attributes in a list of `{"key": …, "value": {…}}`. Raises NotAnEvent, Unreadable for another shape."""
    found = {}
    for pair in pairs:
        if type(pair) is not dict or type(pair.get("key")) is not str:
            raise Unreadable("attributes are objects with a key and a value")
        found[pair["key"]] = json_value(pair.get("value"), depth)
    return found


def json_value(value: Any, depth: int = MAX_DEPTH) -> Any:
    """The value in `{"stringValue": …}`, None for an empty one. Raises NotAnEvent, Unreadable for another shape."""
    if depth < 0:
        raise NotAnEvent(_TOO_DEEP)
    if value is None or value == {}:
        return None
    if type(value) is not dict or len(value) != 1:
        raise Unreadable("a value is an object with one member, such as stringValue")
    ((kind, content),) = value.items()
    inner = content if type(content) is dict else {}
    match kind:
        case "arrayValue" | "array_value":
            return [json_value(item, depth - 1) for item in items(inner, "values")]
        case "kvlistValue" | "kvlist_value":
            return json_attributes(items(inner, "values"), depth - 1)
        case "intValue" | "int_value":
            return _integer(content)
        case "stringValue" | "boolValue" | "doubleValue" | "bytesValue":
            return _scalar(content)
        case "string_value" | "bool_value" | "double_value" | "bytes_value":
            return _scalar(content)
    raise Unreadable(f"there is no kind of value {kind[:40]!r}")


def _integer(content: Any) -> Any:
    """proto3 writes 64-bit integers as text."""
    if type(content) is str and len(content) <= 20 and content.isascii() and content.removeprefix("-").isdecimal():
        number = int(content)
        return number if -(1 << 63) <= number < 1 << 64 else content
    return _scalar(content)


def _scalar(content: Any) -> Any:
    if type(content) in (dict, list):
        raise Unreadable("a value of a simple kind is text, a number, true or false")
    return content


def hex_id(value: bytes | str) -> str:
    """A trace or span id as lower-case hexadecimal; "" for none and for the id of zeros that stands for none."""
    found = value.hex() if isinstance(value, bytes) else value.strip().lower()
    return found if found.strip("0") else ""
