"""Lines of text: a time, perhaps a level and a logger in one of the usual orders, and the message.

    [2024-05-01 12:00:00,123] ERROR in app: Exception on /login [POST]
     \\__ lead: time __/       \\__ rest: level, logger, message __/

The patterns of the rest are tried in order; a line that fits none is a message. What a pattern takes out of
the line (thread, process, function) goes to the attributes. Written after the default formats of logging,
Flask, gunicorn, Celery, uvicorn, loguru, alembic, Django, Jupyter, log4j, logback, Spring, PostgreSQL,
glog, Valkey and Redis, dpkg and apt.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from monitoring.pipeline.events import levels
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.events.formats.access import uvicorn_attributes
from monitoring.pipeline.events.formats.format import make_event, number
from monitoring.pipeline.events.lenient import UNSAID, Defaults
from monitoring.pipeline.events.timestamps import SECOND_NS, leading

__all__ = ["parse_apt", "parse_basic", "parse_dated", "parse_plain", "parse_valkey", "split_level"]

_LEVEL = (
    "TRACE|DEBUG|INFO|NOTICE|WARNING|WARN|ERROR|ERR|CRITICAL|CRIT|FATAL|SEVERE|ALERT|EMERGENCY|EMERG|PANIC"
    "|FINEST|FINER|FINE|CONFIG|VERBOSE|SUCCESS"
)
_UPPER = rf"(?P<level>{_LEVEL})(?![\w.-])"
_ANY = rf"(?P<level>(?i:{_LEVEL}))(?![\w.-])"
_NAME = r"(?P<logger>[A-Za-z_][\w.$/@~-]{0,99})"
_MESSAGE = r"(?P<message>.*)"

_HAS_LEVEL = re.compile(rf"\b(?i:{_LEVEL}|LOG|STATEMENT|DETAIL|HINT|CONTEXT)\b")
_RESTS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        rf"{_NAME} +- +{_ANY} +- +{_MESSAGE}",  # logging's own example: name - LEVEL - message
        rf"{_ANY} +- +{_NAME} +- +{_MESSAGE}",
        rf"{_UPPER} *\| *(?P<logger>[\w.<>$]+):(?P<function>[\w<>]+):(?P<line>\d+) - {_MESSAGE}",  # loguru
        rf"{_UPPER} in {_NAME}: {_MESSAGE}",  # Flask
        rf"{_UPPER}/(?P<process>[\w-]+)\] {_MESSAGE}",  # Celery
        rf"\[(?P<pid>\d+)\] \[{_ANY}\] {_MESSAGE}",  # gunicorn
        rf"{_UPPER} +(?P<pid>\d+) --- (?:\[(?P<application>[^\]]*)\] )?\[ *(?P<thread>[^\]]*)\] {_NAME} *:"
        rf" {_MESSAGE}",  # Spring
        rf"\[(?P<thread>[^\]]{{1,80}})\] {_UPPER} +{_NAME}(?: -|:) {_MESSAGE}",  # logback
        rf"{_UPPER} +\[(?P<thread>[^\]]{{1,80}})\] {_NAME}(?: -|:) {_MESSAGE}",  # log4j
        rf"{_UPPER} +\[{_NAME}\] {_MESSAGE}",  # alembic
        rf"\[ *{_ANY} *\] \[?{_NAME}\]?: {_MESSAGE}",
        rf"\[ *{_ANY} *\] \[{_NAME}\] {_MESSAGE}",
        rf"[\[<(] *{_ANY} *[\])>]:? *{_MESSAGE}",
        rf"{_UPPER}:{_NAME}:{_MESSAGE}",  # logging.basicConfig
        rf"{_UPPER} +{_NAME}: {_MESSAGE}",
        rf"(?:\[(?P<pid>\d+)\]:? )?(?:(?P<user>\S+@\S+) )?"
        rf"(?P<level>LOG|ERROR|FATAL|PANIC|WARNING|NOTICE|INFO|DEBUG\d?|STATEMENT|DETAIL|HINT|CONTEXT):"
        rf"  +{_MESSAGE}",  # PostgreSQL
        rf"{_UPPER} *(?:[:|]|-(?= ))? *{_MESSAGE}",
    )
)
_DATED_RESTS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        rf"{_NAME}(?:\[(?P<pid>\d+)\])?:? +[\[(]?{_UPPER}[\])]?(?: -|:| \|)? *{_MESSAGE}",  # name LEVEL message
        rf"(?P<pid>\d+) +{_UPPER}:? +{_MESSAGE}",
        rf"\[(?P<thread>[^\]]{{1,80}})\] {_UPPER}:? +{_MESSAGE}",
    )
)
_SPOKEN = re.compile(r"(error|warning|warn|fatal|critical|panic|debug|info|notice)(?:\[\w+\])?: ", re.IGNORECASE)
"""`fatal: not a git repository`: tells the level, and is part of the message all the same."""
_BEHIND_TIME = re.compile(r" *[\]),]? *(?:[:|]|-(?=\s))? *")
_LEVEL_FIRST = re.compile(rf"[\[<(]? *{_UPPER} *[\])>]?[:,]? *[\[(]? *")
_GLOG = re.compile(r"([IWEF])(\d\d)(\d\d) (\d\d:\d\d:\d\d)(\.\d{1,9})? +(\d+) ([^\]\s:]+):(\d+)\] ")
_TORNADO = re.compile(r"\[([DIWEC]) (\d{2})?(?=\d{6} |\d\d-\d\d-)")
_JUPYTER = re.compile(r" ?([\w.:]+)?\] ?")
_NAME_FIRST = re.compile(r"([A-Za-z][\w.+-]{0,47}|Log started|Log ended):? +(?=[\d(\[])")
_TORNADO_LEVELS = {"D": 5, "I": 9, "W": 13, "E": 17, "C": 21}
_VALKEY = re.compile(r"(\d+):([A-Z]) (\d\d? \w{3} \d{4} [\d:.]{8,12}) ([.*#-]) (.*)", re.DOTALL)
_VALKEY_SIGNAL = re.compile(r"(\d+):signal-handler \((\d{9,11})\) (.*)", re.DOTALL)
_VALKEY_LEVELS = {".": 5, "-": 5, "*": 10, "#": 13}
"""Of the server: debug, verbose, notice, warning."""
_BASIC = re.compile(rf"{_UPPER}:(?:{_NAME}:| {{2,}}\S)")
_APT = "Start-Date: "


class _Lead(NamedTuple):
    """What stands before the rest of a line."""

    timestamp: int
    level: int
    logger: str
    end: int
    attributes: dict[str, Any]


def parse_plain(text: str, defaults: Defaults) -> Event:
    """The event of any text; never None."""
    return _make(text, defaults, _lead(text, defaults) or _Lead(UNSAID, UNSAID, "", 0, {}))


def parse_dated(text: str, defaults: Defaults) -> Event | None:
    """The event of a text that starts with a time, or as `logging.basicConfig` and uvicorn start it."""
    lead = _lead(text, defaults)
    return parse_basic(text, defaults) if lead is None else _make(text, defaults, lead)


def parse_basic(text: str, defaults: Defaults) -> Event | None:
    """`LEVEL:logger:message`, and uvicorn's `LEVEL:     message`."""
    return _make(text, defaults, _Lead(UNSAID, UNSAID, "", 0, {})) if _BASIC.match(text) else None


def parse_valkey(text: str, defaults: Defaults) -> Event | None:
    """`pid:role time mark message`, as Valkey and Redis write it."""
    match = _VALKEY.match(text)
    if match is None:
        return _valkey_signal(text, defaults)
    pid, role, time, mark, message = match.groups()
    found = leading(time, defaults.zone, defaults.reference_ns)
    if found is None:
        return None
    return make_event(
        defaults,
        message,
        timestamp=found.ns,
        level=_VALKEY_LEVELS[mark],
        attributes={"pid": int(pid), "role": role},
    )


def _valkey_signal(text: str, defaults: Defaults) -> Event | None:
    """`pid:signal-handler (seconds) message`: what the server writes where it may not format a date."""
    match = _VALKEY_SIGNAL.match(text)
    if match is None:
        return None
    pid, seconds, message = match.groups()
    timestamp = int(seconds) * SECOND_NS
    return make_event(defaults, message, timestamp=timestamp, level=13, attributes={"pid": int(pid)})


def parse_apt(text: str, defaults: Defaults) -> Event | None:
    """The first line of a paragraph of apt's history.log; the others join it."""
    if not text.startswith(_APT):
        return None
    found = leading(text[len(_APT) :], defaults.zone, defaults.reference_ns)
    return None if found is None else make_event(defaults, "", timestamp=found.ns, level=levels.DEFAULT_LEVEL)


class Split(NamedTuple):
    """A message without its level and logger; `level` is UNSAID where it names none."""

    level: int
    logger: str
    message: str
    attributes: dict[str, Any]


def split_level(text: str, dated: bool = False) -> Split:
    """Take level, logger and such off the start of a message; `dated` allows orders that need a time before them."""
    if _HAS_LEVEL.search(text, 0, 160) is None:
        return Split(UNSAID, "", text, {})
    for pattern in (*_RESTS, *_DATED_RESTS) if dated else _RESTS:
        match = pattern.match(text)
        if match is not None:
            parts = match.groupdict()
            attributes = {
                name: number(value)
                for name, value in parts.items()
                if value and name not in ("level", "logger", "message")
            }
            level = levels.parse(parts["level"].rstrip("0123456789")) or levels.DEFAULT_LEVEL
            return Split(level, parts.get("logger") or "", parts["message"], attributes)
    spoken = _SPOKEN.match(text)
    level = UNSAID if spoken is None else levels.parse(spoken[1]) or UNSAID
    return Split(level, "", text, {})


def _make(text: str, defaults: Defaults, lead: _Lead) -> Event:
    rest = text[lead.end :]
    split = split_level(rest, dated=lead.timestamp != UNSAID) if lead.level == UNSAID else _after_level(rest, lead)
    attributes = {**lead.attributes, **split.attributes}
    if " HTTP/" in split.message:
        attributes |= uvicorn_attributes(split.message)
    return make_event(
        defaults,
        split.message,
        timestamp=lead.timestamp,
        level=split.level,
        logger=lead.logger or split.logger,
        attributes=attributes,
    )


_LOGGER_FIRST = re.compile(rf"(?:{_NAME}: |\[?{_NAME.replace('logger', 'other')}\]? - )(?=\S)")


def _after_level(rest: str, lead: _Lead) -> Split:
    """The rest of a line whose level came before its time: perhaps a logger, then the message."""
    match = None if lead.logger else _LOGGER_FIRST.match(rest)
    if match is None:
        return Split(lead.level, "", rest, {})
    return Split(lead.level, match["logger"] or match["other"], rest[match.end() :], {})


def _lead(text: str, defaults: Defaults) -> _Lead | None:
    """The time at the start of a line, in brackets or behind a level or a program's name."""
    start = 1 if text[:1] in ("[", "(") else 0
    found = leading(text[start:] if start else text, defaults.zone, defaults.reference_ns)
    if found is not None:
        return _Lead(found.ns, UNSAID, "", _behind(text, start + found.end), {})
    if start:
        return _tornado(text, defaults) or _level_first(text, defaults)
    return _glog(text, defaults) or _level_first(text, defaults) or _name_first(text, defaults)


def _behind(text: str, end: int) -> int:
    """Where the rest starts behind a time: without brackets, colons, dashes."""
    match = _BEHIND_TIME.match(text, end)
    return match.end() if match is not None else end


def _level_first(text: str, defaults: Defaults) -> _Lead | None:
    """`INFO 2024-05-01 12:00:00 …`, `[INFO] 2024-…`, `INFO [2024-…] logger: …`."""
    match = _LEVEL_FIRST.match(text)
    if match is None:
        return None
    found = leading(text[match.end() :], defaults.zone, defaults.reference_ns)
    if found is None:
        return None
    level = levels.parse(match["level"]) or levels.DEFAULT_LEVEL
    return _Lead(found.ns, level, "", _behind(text, match.end() + found.end), {})


def _name_first(text: str, defaults: Defaults) -> _Lead | None:
    """`update-alternatives 2024-05-01 12:00:00: …`."""
    match = _NAME_FIRST.match(text)
    if match is None or match[1] == "End-Date":
        return None
    start = match.end() + (1 if text[match.end()] in "[(" else 0)
    found = leading(text[start:], defaults.zone, defaults.reference_ns)
    if found is None:
        return None
    end = _behind(text, start + found.end)
    return _Lead(found.ns, UNSAID, match[1], end, {}) if end < len(text) else _Lead(found.ns, UNSAID, "", 0, {})


def _glog(text: str, defaults: Defaults) -> _Lead | None:
    """`I0501 12:00:00.123456 1234 file.go:12] message`, as glog and klog (Kubernetes) write it."""
    match = _GLOG.match(text)
    if match is None:
        return None
    letter, month, day, clock, fraction, thread, file, line = match.groups()
    names = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    if not 1 <= int(month) <= 12:
        return None
    found = leading(f"{names[int(month) - 1]} {day} {clock}{fraction or ''}", defaults.zone, defaults.reference_ns)
    if found is None:
        return None
    level = levels.parse(letter) or levels.DEFAULT_LEVEL
    return _Lead(found.ns, level, file, match.end(), {"line": int(line), "thread": int(thread)})


def _tornado(text: str, defaults: Defaults) -> _Lead | None:
    """`[I 240501 12:00:00 web:2271] message` and Jupyter's `[I 2024-05-01 12:00:00.123 ServerApp] message`."""
    match = _TORNADO.match(text)
    if match is None:
        return None
    short = match[2] is None
    start = match.end() - (0 if short else 2)
    body = f"20{text[start:]}" if short else text[start:]
    found = leading(body, defaults.zone, defaults.reference_ns)
    if found is None:
        return None
    tail = _JUPYTER.match(text, start + found.end - (2 if short else 0))
    if tail is None:
        return None
    return _Lead(found.ns, _TORNADO_LEVELS[match[1]], tail[1] or "", tail.end(), {})
