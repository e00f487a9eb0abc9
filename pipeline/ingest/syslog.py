"""Syslog as it arrives over a network: bytes of a connection cut into messages, messages read as events.

    111 <34>1 2003-10-11T22:14:15.003Z host su - ID47 - message      counted (RFC 6587 3.4.1, always with TLS: RFC 5425)
    <34>Oct 11 22:14:15 host su: message\\n                           one a line (RFC 6587 3.4.2)

Which of the two is told by the first byte of each message, as rsyslog does it: a message itself begins with `<`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from monitoring.pipeline.events import levels
from monitoring.pipeline.events.event import MAX_EVENT_BYTES, Event, Rejected
from monitoring.pipeline.events.formats.known import text_of
from monitoring.pipeline.events.formats.syslog import parse_rfc3164, parse_rfc5424
from monitoring.pipeline.events.formats.text import parse_plain
from monitoring.pipeline.events.lenient import MAX_RAW_BYTES, Defaults, complete, rejected
from monitoring.pipeline.ingest.intake import Intake
from monitoring.pipeline.ingest.lines import TooLong

__all__ = ["Framer", "Message", "read_messages"]

Message = bytes | TooLong
_COUNT = re.compile(rb"([1-9]\d{0,8}) ")
_MAY_BE_COUNT = re.compile(rb"[1-9]\d{0,8}\Z")
_LARGE = MAX_EVENT_BYTES // 4
"""Fewer code points than this are surely fewer bytes than an event may have."""


class Framer:
    """Cuts the bytes of one connection into messages; keeps at most one of MAX_EVENT_BYTES between calls."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._scanned = 0
        self._octets = 0
        self._prefix = b""
        self._length = 0

    def push(self, data: bytes) -> list[Message]:
        """The messages that these bytes complete."""
        found: list[Message] = []
        self._rest += data
        while self._rest and self._step(found):
            pass
        return found

    def last(self) -> Message:
        """What the end of the connection left: a line without its end, or a part of a message; b"" for nothing."""
        rest, self._rest = bytes(self._rest), bytearray()
        if self._length:
            return TooLong(self._prefix, self._length)
        counted = _COUNT.match(rest)
        return rest if counted is None else rest[counted.end() :]

    def _step(self, found: list[Message]) -> bool:
        """Take one message off the rest, or a part of one that is too long; whether there may be another."""
        if self._octets:
            gone = min(self._octets, len(self._rest))
            del self._rest[:gone]
            self._octets -= gone
            return not self._octets
        if self._length:
            return self._end_long(found)
        counted = _COUNT.match(self._rest)
        if counted is not None:
            return self._take_counted(int(counted[1]), counted.end(), found)
        return _MAY_BE_COUNT.match(self._rest) is None and self._take_line(found)

    def _take_counted(self, length: int, start: int, found: list[Message]) -> bool:
        if length > MAX_EVENT_BYTES:
            if len(self._rest) - start < min(length, MAX_RAW_BYTES):
                return False
            found.append(TooLong(bytes(self._rest[start : start + MAX_RAW_BYTES]), length))
            self._octets = length
            del self._rest[:start]
            return True
        if len(self._rest) - start < length:
            return False
        found.append(bytes(self._rest[start : start + length]))
        del self._rest[: start + length]
        return True

    def _take_line(self, found: list[Message]) -> bool:
        end = self._rest.find(b"\n", self._scanned)
        if 0 <= end <= MAX_EVENT_BYTES:
            found.append(bytes(self._rest[:end]))
            del self._rest[: end + 1]
            self._scanned = 0
            return True
        if len(self._rest) <= MAX_EVENT_BYTES:
            self._scanned = len(self._rest)
            return False
        self._prefix, self._length = bytes(self._rest[:MAX_RAW_BYTES]), 1
        self._scanned = 0
        return True

    def _end_long(self, found: list[Message]) -> bool:
        """Pass over the rest of a line that is too long."""
        end = self._rest.find(b"\n")
        gone = len(self._rest) if end < 0 else end + 1
        self._length += gone
        del self._rest[:gone]
        if end < 0:
            return False
        found.append(TooLong(self._prefix, self._length - 1))
        self._length = 0
        return True


def read_messages(messages: Iterable[Message], defaults: Defaults, source: str, peer: str) -> Intake:
    """The events of messages from one peer, whose address is the host of those that name none."""
    events: list[Event] = []
    refused: list[Rejected] = []
    for message in messages:
        if isinstance(message, TooLong):
            refused.append(rejected(f"longer than {MAX_EVENT_BYTES} bytes", message.prefix, source))
            continue
        text = text_of(message.strip(b"\r\n\x00"))
        if not text or text.isspace():
            continue
        event = parse_rfc5424(text, defaults) or parse_rfc3164(text, defaults) or parse_plain(text, defaults)
        event = complete(event, defaults.received_ns, levels.DEFAULT_LEVEL)
        if not event.host:
            event = event._replace(host=peer)
        if len(text) > _LARGE and sum(len(part.encode()) for part in event[2:]) > MAX_EVENT_BYTES:
            refused.append(rejected(f"longer than {MAX_EVENT_BYTES} bytes", message, source))
            continue
        events.append(event)
    return Intake(events, refused)
