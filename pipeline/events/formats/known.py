"""All formats, and which one a file is written in.

Telling them apart: each line of a sample is tried with every format, lines that continue others are passed
over, and the most particular format that fits at least half of the rest wins. A wrong or mixed guess costs
little: a line that does not fit the file's format is tried with the others before it is taken as plain text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from monitoring.pipeline.errors import SettingsError
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.events.formats.access import parse_access, parse_error
from monitoring.pipeline.events.formats.containers import unwrap_cri, unwrap_docker
from monitoring.pipeline.events.formats.format import Format
from monitoring.pipeline.events.formats.journal import is_journal, read_journal
from monitoring.pipeline.events.formats.logfmt import parse_logfmt
from monitoring.pipeline.events.formats.syslog import parse_rfc3164, parse_rfc5424
from monitoring.pipeline.events.formats.text import (
    parse_apt,
    parse_basic,
    parse_dated,
    parse_plain,
    parse_valkey,
)
from monitoring.pipeline.events.lenient import UNSAID, Defaults, NotAnEvent, decode, read_record
from monitoring.pipeline.events.multiline import Kind, begins_trace, follows

__all__ = [
    "BOM",
    "FORMATS",
    "NAMES",
    "PLAIN",
    "SAMPLE_LINES",
    "by_key",
    "by_name",
    "others",
    "parse_json",
    "sniff",
    "text_of",
]

BOM = b"\xef\xbb\xbf"
"""The mark that some editors and Windows put before UTF-8."""
SAMPLE_LINES = 200
"""Lines looked at: a banner or a burst of one kind is seldom longer than half of that."""
_ENOUGH = 0.5


def text_of(line: bytes) -> str:
    """The text of a line; a byte that is not UTF-8 is written as \\xff."""
    return line.decode("utf-8", "backslashreplace")


def parse_json(text: str | bytes, defaults: Defaults) -> Event | None:
    """The event of a line that is a JSON object, the journal's included; None if it does not look like one."""
    line = text.encode() if isinstance(text, str) else text
    if line.lstrip()[:1] != b"{":
        return None
    return read_object(decode(line), defaults)


def read_object(record: dict[str, Any], defaults: Defaults) -> Event:
    """The event of a JSON object, the journal's included. Raises NotAnEvent."""
    return read_journal(record, defaults) if is_journal(record) else read_record(record, defaults)


def _wrapped(text: str, defaults: Defaults) -> None:
    """Wrappers are unwrapped, not parsed."""
    return


JSON = Format("json", parse_json, "nothing")
JOURNALD = Format("journald", parse_json, "nothing")
DOCKER = Format("docker", _wrapped, "traces", unwrap=unwrap_docker)
CRI = Format("cri", _wrapped, "traces", unwrap=unwrap_cri)
RFC5424 = Format("rfc5424", parse_rfc5424, "traces")
SYSLOG = Format(
    "syslog", lambda text, defaults: parse_rfc3164(text, defaults) or parse_rfc5424(text, defaults), "traces"
)
ACCESS = Format("access", parse_access, "nothing")
WEB_ERROR = Format("web-error", parse_error, "traces")
VALKEY = Format("valkey", parse_valkey, "traces")
APT = Format("apt", parse_apt, "anything")
LOGFMT = Format("logfmt", parse_logfmt, "traces")
PYTHON = Format("python", parse_dated, "anything")
BASIC = Format("python-basic", parse_basic, "traces")
DATED = Format("dated", parse_dated, "anything")
PLAIN = Format("plain", parse_plain, "traces")

FORMATS: tuple[Format, ...] = (
    JOURNALD, DOCKER, JSON, CRI, RFC5424, SYSLOG, ACCESS, WEB_ERROR, VALKEY, APT, PYTHON, BASIC, LOGFMT, DATED, PLAIN,
)  # fmt: skip
"""All, the most particular first."""

_ALIASES = {
    "jsonl": "json", "ndjson": "json", "json-lines": "json", "journal": "journald", "journalctl": "journald",
    "rfc3164": "syslog", "nginx": "access", "apache": "access", "combined": "access", "common": "access",
    "nginx-error": "web-error", "apache-error": "web-error", "redis": "valkey", "text": "plain",
}  # fmt: skip
NAMES: tuple[str, ...] = tuple(sorted({*(item.name for item in FORMATS), *_ALIASES}))
"""What `by_name` understands."""

_TRIED_ELSEWHERE = (RFC5424, ACCESS, WEB_ERROR, VALKEY)
"""Formats too particular to be mistaken for text that goes on: tried in every file."""
_TRIED_LAST = (SYSLOG, LOGFMT, BASIC)


def by_name(name: str) -> Format:
    """The format of this name or alias. Raises SettingsError."""
    wanted = _ALIASES.get(name.lower(), name.lower())
    for item in FORMATS:
        if item.name == wanted:
            return item if item.unwrap is None else item.around(PLAIN)
    raise SettingsError(f"there is no format {name}; known are {', '.join(NAMES)}")


def by_key(key: str) -> Format:
    """The format of a `Format.key`. Raises SettingsError."""
    name, _, inner = key.partition(":")
    found = by_name(name)
    return found.around(by_key(inner)) if inner else found


def others(file_format: Format) -> tuple[Format, ...]:
    """The formats to try, in order, with a line that does not fit the file's own."""
    found = _TRIED_ELSEWHERE if file_format.joins == "anything" else (*_TRIED_ELSEWHERE, *_TRIED_LAST)
    return tuple(item for item in found if item.name != file_format.name)


def sniff(lines: Sequence[bytes], defaults: Defaults) -> Format:
    """The format that these first lines of a file are written in."""
    heads = _first_lines(lines[:SAMPLE_LINES])
    if not heads:
        return PLAIN
    for item, fits in _SIGNS:
        found = [line for line, text in heads if fits(line, text, defaults)]
        if len(found) >= _ENOUGH * len(heads):
            return item.around(_inner(item, found, defaults)) if item.unwrap is not None else item
    return PLAIN


def _first_lines(lines: Sequence[bytes]) -> list[tuple[bytes, str]]:
    """The lines, as bytes and as text, that do not go on with a trace or another line."""
    kept: list[tuple[bytes, str]] = []
    kind: Kind = ""
    after_blank = False
    for raw in lines:
        line = raw.removeprefix(BOM).rstrip(b"\r\n")
        text = text_of(line)
        if not text.strip():
            after_blank = True
            continue
        verdict = follows(kind, text, after_blank)
        start = begins_trace(text)
        if not verdict.belongs and not start and text[0] not in " \t}])":
            kept.append((line, text))
        kind = start or verdict.kind
        after_blank = False
    return kept


def _inner(wrapper: Format, lines: Sequence[bytes], defaults: Defaults) -> Format:
    """The format of the lines inside a wrapper."""
    assert wrapper.unwrap is not None  # noqa: S101 - tells mypy what the caller has asked
    pieces = [piece for line in lines if (piece := wrapper.unwrap(line, defaults)) is not None]
    inner = sniff([piece.line for piece in pieces if not piece.partial], defaults)
    return PLAIN if inner.unwrap is not None else inner


_Sign = Callable[[bytes, str, Defaults], bool]


def _parses(item: Format) -> _Sign:
    def fits(line: bytes, text: str, defaults: Defaults) -> bool:
        try:
            return item.parse(text, defaults) is not None
        except NotAnEvent:
            return False

    return fits


def _is_journal(line: bytes, text: str, defaults: Defaults) -> bool:
    return line[:1] == b"{" and b'"__REALTIME_TIMESTAMP"' in line


def _is_json(line: bytes, text: str, defaults: Defaults) -> bool:
    return line == b"{" or line[:2] in (b'{"', b"{}") or _parses(JSON)(line, text, defaults)


def _is_python(line: bytes, text: str, defaults: Defaults) -> bool:
    event = parse_dated(text, defaults)
    return event is not None and event.level != UNSAID and event.timestamp != UNSAID


def _is_dated(line: bytes, text: str, defaults: Defaults) -> bool:
    event = parse_dated(text, defaults)
    return event is not None and event.timestamp != UNSAID


def _is_apt(line: bytes, text: str, defaults: Defaults) -> bool:
    return text.startswith(("Start-Date: ", "End-Date: ", "Commandline: ", "Requested-By: ", "Install: ", "Upgrade: ",
                            "Remove: ", "Purge: "))  # fmt: skip


_SIGNS: tuple[tuple[Format, _Sign], ...] = (
    (JOURNALD, _is_journal),
    (DOCKER, lambda line, text, defaults: unwrap_docker(line, defaults) is not None),
    (JSON, _is_json),
    (CRI, lambda line, text, defaults: unwrap_cri(line, defaults) is not None),
    (APT, _is_apt),
    (RFC5424, _parses(RFC5424)),
    (SYSLOG, _parses(SYSLOG)),
    (ACCESS, _parses(ACCESS)),
    (WEB_ERROR, _parses(WEB_ERROR)),
    (VALKEY, _parses(VALKEY)),
    (PYTHON, _is_python),
    (BASIC, _parses(BASIC)),
    (LOGFMT, _parses(LOGFMT)),
    (DATED, _is_dated),
)
