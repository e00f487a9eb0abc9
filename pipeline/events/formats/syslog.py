"""Syslog as it travels and as it lies in files: RFC 5424, and RFC 3164 with what daemons make of it.

<165>1 2003-10-11T22:14:15.003Z host app 1234 ID47 [id@32473 eventID="1011"] message      RFC 5424
<34>Oct 11 22:14:15 host su[42]: message                                                    RFC 3164
Oct 11 22:14:15 host su[42]: message                                                        in a file
2024-10-11T22:14:15.003456+02:00 host su[42]: message                                       rsyslog's default
"""

from __future__ import annotations

import re
from typing import Any

from monitoring.pipeline.events import levels
from monitoring.pipeline.events.dialects import SYSLOG_NAMES
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.events.formats.format import inner_event, make_event, number
from monitoring.pipeline.events.formats.text import split_level
from monitoring.pipeline.events.lenient import UNSAID, Defaults
from monitoring.pipeline.events.timestamps import leading

__all__ = ["parse_rfc3164", "parse_rfc5424", "severity_of_priority"]

_PRIORITY = re.compile(r"<(\d{1,3})>")
_HEADER = re.compile(r"1 (\S{1,64}) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) (?=[-\[])")
_ELEMENT = re.compile(r"\[([^\s\]=\"]{1,32})((?: [^\s\]=\"]{1,32}=\"(?:[^\"\\\]]|\\.)*\")*) ?\]")
_PARAMETER = re.compile(r" ([^\s\]=\"]{1,32})=\"((?:[^\"\\\]]|\\.)*)\"")
_ESCAPED = re.compile(r"\\([\"\\\]])")
_TAG = re.compile(r"([(/\w][\w./()+@-]{0,63})(?:\[([^\]]{0,64})\])?: ?")
_HOST = re.compile(r" ([A-Za-z0-9_][\w.:%-]{0,254}) ")
_FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip


def severity_of_priority(priority: int) -> int:
    """Severity number 1-24 of the lower three bits of a syslog priority."""
    return levels.parse(SYSLOG_NAMES[priority & 7]) or levels.DEFAULT_LEVEL


def parse_rfc5424(text: str, defaults: Defaults) -> Event | None:
    """The event of a line of RFC 5424; a length before it, as TCP frames it, is passed over."""
    if text[:1].isdecimal():
        text = text[text.find("<") :] if 0 < text.find(" <") < 7 else ""
    priority = _PRIORITY.match(text)
    header = None if priority is None else _HEADER.match(text, priority.end())
    if priority is None or header is None or int(priority[1]) > 191:
        return None
    time, host, application, process, message_id = ("" if part == "-" else part for part in header.groups())
    timestamp = UNSAID
    if time:
        found = leading(time, defaults.zone, defaults.reference_ns)
        if found is None or found.end != len(time):
            return None
        timestamp = found.ns
    attributes, end = _structured(text, header.end())
    if end < 0:
        return None
    attributes |= _origin(int(priority[1]), process)
    if message_id:
        attributes["msgid"] = message_id
    message = text[end:].removeprefix(" ").removeprefix("\ufeff")
    message = message.removeprefix(" ")  # rsyslog keeps the one that stands behind a tag
    level = severity_of_priority(int(priority[1]))
    return _event(defaults, message, timestamp, level, application, host, attributes)


def parse_rfc3164(text: str, defaults: Defaults) -> Event | None:
    """The event of a line of RFC 3164, with or without priority, its time also in RFC 3339."""
    priority = _PRIORITY.match(text)
    start = priority.end() if priority is not None else 0
    found = leading(text[start:], defaults.zone, defaults.reference_ns)
    if found is None:
        return _without_time(text, priority, defaults)
    host = _HOST.match(text, start + found.end)
    tag = None if host is None else _TAG.match(text, host.end())
    if priority is None and not (host and tag and _in_file(text, host[1], tag[1])):
        return None
    level = UNSAID if priority is None else severity_of_priority(int(priority[1]))
    attributes = _origin(None if priority is None else int(priority[1]), (tag[2] or "") if tag is not None else "")
    rest = text[tag.end() if tag else host.end() if host else start + found.end :]
    name = tag[1] if tag is not None else ""
    return _event(defaults, rest, found.ns, level, name, host[1] if host is not None else "", attributes)


def _in_file(text: str, host: str, tag: str) -> bool:
    """Whether this is a daemon's line and not any text behind a time, such as `2024-05-01 12:00:00 name INFO: …`."""
    if text[0].isdecimal() and text[10:11] != "T":
        return False
    return host[-1] != ":" and levels.parse(host) is None and levels.parse(tag) is None


def _without_time(text: str, priority: re.Match[str] | None, defaults: Defaults) -> Event | None:
    """`<34>su[42]: message` and `<4>message`, as programs write to their standard error under systemd."""
    if priority is None or int(priority[1]) > 191:
        return None
    tag = _TAG.match(text, priority.end())
    rest = text[tag.end() if tag else priority.end() :]
    attributes = _origin(int(priority[1]), (tag[2] or "") if tag else "")
    level = severity_of_priority(int(priority[1]))
    return _event(defaults, rest, UNSAID, level, tag[1] if tag else "", "", attributes)


def _event(
    defaults: Defaults, message: str, timestamp: int, level: int, name: str, host: str, attributes: dict[str, Any]
) -> Event:
    if message[-1:] == "}":
        found = inner_event(
            message, defaults, timestamp=timestamp, level=level, service=name, host=host, attributes=attributes
        )
        if found is not None:
            return found
    logger = ""
    if level == UNSAID:  # the file does not keep the priority; the program may have written its own level
        level, logger, message, more = split_level(message)
        attributes |= more
    return make_event(
        defaults,
        message,
        timestamp=timestamp,
        level=level,
        service=name,
        logger=logger,
        host=host,
        attributes=attributes,
    )


def _origin(priority: int | None, process: str) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    if process:
        attributes["pid"] = number(process)
    if priority is not None:
        attributes["facility"] = _FACILITIES[priority >> 3] if priority >> 3 < len(_FACILITIES) else priority >> 3
    return attributes


def _structured(text: str, start: int) -> tuple[dict[str, Any], int]:
    """The parameters of RFC 5424's structured data and where it ends; -1 where it is broken.

    The parameters of several elements stand under `element.name`; those of a single one under their name.
    """
    if text[start : start + 1] == "-":
        return {}, start + 1
    elements: list[tuple[str, dict[str, Any]]] = []
    while text[start : start + 1] == "[":
        match = _ELEMENT.match(text, start)
        if match is None:
            return {}, -1
        pairs = {name: _ESCAPED.sub(r"\1", value) for name, value in _PARAMETER.findall(match[2])}
        elements.append((match[1], pairs))
        start = match.end()
    if len(elements) == 1:
        return {name: number(value) for name, value in elements[0][1].items()}, start
    return {f"{element}.{name}": number(value) for element, pairs in elements for name, value in pairs.items()}, start
