"""logfmt: `ts=2024-05-01T12:00:00Z level=info msg="request done" path=/a duration_ms=12.5 cached`."""

from __future__ import annotations

import re
from typing import Any

from monitoring.pipeline.events.aliases import ROLES
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.events.formats.format import number
from monitoring.pipeline.events.lenient import Defaults, read_record

__all__ = ["pairs", "parse_logfmt"]

_PAIR = re.compile(r'([^\s="]{1,128})(?:=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*)))?(?:\s+|$)')
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "/": "/"}
_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_TEXT_ROLES = frozenset(
    name for role in ("message", "trace_id", "span_id", "request_id", "timestamp", "level") for name in ROLES[role]
)
_WORDS = {"true": True, "false": False}


def pairs(text: str) -> list[tuple[str, str | None]] | None:
    """Names and values in order, a bare name with None; None where the text is not logfmt from end to end."""
    found: list[tuple[str, str | None]] = []
    position = 0
    text = text.strip()
    while position < len(text):
        match = _PAIR.match(text, position)
        if match is None:
            return None
        name, quoted, bare = match.groups()
        found.append((name, bare if quoted is None else _unescaped(quoted)))
        position = match.end()
    return found


def parse_logfmt(text: str, defaults: Defaults) -> Event | None:
    """The event of a line of logfmt: at least two names with values, and no more bare ones than those."""
    if "=" not in text:
        return None
    found = pairs(text)
    if found is None:
        return None
    valued = sum(value is not None for name, value in found)
    if valued < 2 or len(found) > 2 * valued:
        return None
    record: dict[str, Any] = {}
    for name, value in found:
        kept = value if name in _TEXT_ROLES else True if value is None else _WORDS.get(value, number(value))
        if name in record and record[name] != kept:  # a name that comes twice keeps both values
            kept = f"{record[name]} {kept}"
        record[name] = kept
    return read_record(record, defaults)


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPED.sub(lambda match: _character(match[1]) if match[1] else _ESCAPES.get(match[2], match[0]), text)


def _character(digits: str) -> str:
    code = int(digits, 16)
    return chr(code) if not 0xD800 <= code < 0xE000 else f"\\u{digits}"
