"""The ids that tie together what belongs to one request, and the headers that carry them from service to service.

    X-Request-ID: 7f3c…                                            made by the first service that is asked
    traceparent:  00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
                  |  |                                |                |
                  |  trace id, 16 bytes               parent's span id flags: 01 = sampled
                  version

Source: W3C Trace Context, Level 2. Pure functions; what cannot be understood is None or "", never an exception.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from monitoring.pipeline.publish.forks import in_every_child

__all__ = [
    "MAX_REQUEST_ID",
    "SAMPLED",
    "Parent",
    "format_traceparent",
    "is_trace",
    "new_ids",
    "parse_traceparent",
    "sane_request_id",
    "sane_tracestate",
]

MAX_REQUEST_ID = 128
"""Characters. UUIDs have 36, AWS' trace ids 35, Heroku takes up to 200; longer ones are somebody's experiment."""
MAX_TRACESTATE = 512
"""Characters that the standard asks to be carried on at least."""
SAMPLED = "01"
_TRACEPARENT = re.compile(
    "(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]([0-9a-f])(-.*)?", re.DOTALL
).fullmatch
"""One call, where cutting the header up and looking at its parts took three times as long; it never looks back."""
_ID_SIGNS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:/+=@~"
"""What ids in use are made of (UUID, ULID, base64, Root=1-…); nothing that ends a header, a line or a quotation."""
_ODD = frozenset("13579bdf")
_new = tuple.__new__
_POOL_IDS = 64
"""Ids made at once: a third of the time that as many calls of the system take, and 4 us now and then."""


class Parent(NamedTuple):
    """What a `traceparent` says: the trace, the span that called, and the flags as two hex digits."""

    trace_id: str
    span_id: str
    flags: str


def new_ids() -> tuple[str, str, str]:
    """A fresh trace id, span id and request id: 32, 16 and 32 hex digits. Thread-safe.

    From the system's random source: a program that seeds `random`, or forks, must not repeat them.
    """
    try:
        return _pool.pop()
    except IndexError:
        return _refilled()


_pool: list[tuple[str, str, str]] = []
_forks_seen = False


def _refilled() -> tuple[str, str, str]:
    global _forks_seen
    if not _forks_seen:
        _forks_seen = True
        in_every_child(_pool.clear)
    text = os.urandom(40 * _POOL_IDS).hex()
    made = [(text[at : at + 32], text[at + 32 : at + 48], text[at + 48 : at + 80]) for at in range(0, len(text), 80)]
    first = made.pop()
    _pool.extend(made)
    return first


def parse_traceparent(header: str) -> Parent | None:
    """The parent that the header names; None where it is none. Later versions are read as far as they are known.

    Upper case, an id of zeros and version ff are invalid, and two headers joined by a comma are, too.
    """
    match = _TRACEPARENT(header)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if more is not None and version == "00":
        return None
    return _new(Parent, (trace_id, span_id, "01" if flags in _ODD else "00"))


def format_traceparent(trace_id: str, span_id: str, flags: str = SAMPLED) -> str:
    """The header that names this span as the parent."""
    return f"00-{trace_id}-{span_id}-{flags}"


def is_trace(trace_id: str, span_id: str) -> bool:
    """Whether these can stand in a `traceparent`: an application may have bound ids of another kind."""
    return parse_traceparent(format_traceparent(trace_id, span_id)) is not None


def sane_request_id(text: str) -> str:
    """The id where it is one that may be logged, returned and carried on: 1 to 128 letters, digits or `-_.:/+=@~`."""
    if len(text) > MAX_REQUEST_ID or text.encode("ascii", "replace").translate(None, _ID_SIGNS):
        return ""
    return text


def sane_tracestate(text: str) -> str:
    """The `tracestate` where it is printable ASCII of a length that may be carried on; else ""."""
    return text if len(text) <= MAX_TRACESTATE and text.isascii() and text.isprintable() else ""
