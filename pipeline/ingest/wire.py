"""The outer messages of a protobuf body, walked without being built.

Built, a message of 2 bytes takes 130 (measured: 4 MB of empty log records became 256 MB). So a body is walked to the
messages that become events, and those are built one by one, none of more bytes than an event may have.

    varint(number << 3 | kind) then   kind 0: varint · 1: 8 bytes · 2: varint length, bytes · 5: 4 bytes

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from monitoring.pipeline.events.event import MAX_EVENT_BYTES
from monitoring.pipeline.events.lenient import NotAnEvent
from monitoring.pipeline.ingest.documents import Unreadable

__all__ = ["built", "children", "first"]

_FIXED = {1: 8, 5: 4}
_MOST_SHIFT = 63
_LOOK = 100


def children(data: bytes, number: int) -> Iterator[bytes]:
    """The messages (or texts) in the fields with this number. Raises Unreadable where the bytes are no message."""
    return (content for found, content in _fields(data) if found == number)


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of the fields that have a length."""
    position, end = 0, len(data)
    while position < end:
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == 2:
            size, position = _varint(data, position)
            if position + size > end:
                raise Unreadable("the body is not protobuf of this kind, or not whole")
            yield tag >> 3, data[position : position + size]
            position += size
        elif kind == 0:
            _, position = _varint(data, position)
        elif kind in _FIXED and position + _FIXED[kind] <= end:
            position += _FIXED[kind]
        else:
            raise Unreadable("the body is not protobuf of this kind, or not whole")


def first(data: bytes, number: int) -> bytes:
    """The first field with this number among the first hundred, b"" (an empty message) where it is none of them.

    Encoders write fields in the order of their numbers, and what is looked for is number 1: a body of a million other
    fields need not be walked for it. Raises Unreadable.
    """
    return next((content for found, content in islice(_fields(data), _LOOK) if found == number), b"")


def built(kind: Any, data: bytes) -> Any:
    """The message. Raises NotAnEvent where it is none, or larger than an event may be."""
    from google.protobuf.message import DecodeError  # 30 ms that other commands need not pay

    if len(data) > MAX_EVENT_BYTES:
        raise NotAnEvent(f"longer than {MAX_EVENT_BYTES} bytes")
    try:
        return kind.FromString(data)
    except DecodeError:
        raise NotAnEvent(f"not a {kind.DESCRIPTOR.name}") from None


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """The number at this place and the place behind it."""
    value = shift = 0
    for byte in data[position : position + 10]:
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > _MOST_SHIFT:
            break
    raise Unreadable("the body is not protobuf of this kind, or not whole")
