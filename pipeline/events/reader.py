"""From the lines of one file to its events.

    line -> unwrap (Docker, CRI) -> join (stack traces, indented lines) -> parse -> complete -> ready

A reader that is made anew at its `boundary`, with the same format, comes to the same events as one that went
on: nothing that happened before the boundary matters behind it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import orjson

from monitoring.pipeline.events.event import MAX_EVENT_BYTES, Event, Rejected
from monitoring.pipeline.events.formats.format import Format, Piece, with_attributes
from monitoring.pipeline.events.formats.known import BOM, others, parse_json, read_object, text_of
from monitoring.pipeline.events.formats.text import parse_plain
from monitoring.pipeline.events.group import Group
from monitoring.pipeline.events.lenient import (
    MAX_RAW_BYTES,
    UNSAID,
    Defaults,
    NotAnEvent,
    complete,
    decode,
    exception_text,
    rejected,
)
from monitoring.pipeline.events.levels import DEFAULT_LEVEL
from monitoring.pipeline.events.multiline import (
    MAX_GROUP_BYTES,
    MAX_LINES,
    Kind,
    begins_trace,
    follows,
    own_message,
    shows_trace,
)

__all__ = ["MAX_OPEN", "MAX_OPEN_BYTES", "Boundary", "Reader"]

_TOO_LONG = f"longer than {MAX_EVENT_BYTES} bytes"
_JSON = ("json", "journald")
_PARTS, _FOREIGN = " parts", " foreign"

_WARNING, _ERROR, _FATAL = 13, 17, 21
_LARGE = MAX_EVENT_BYTES // 8
"""An event of less text than this cannot exceed any bound, whatever has to be escaped."""
MAX_OPEN = 64
MAX_OPEN_BYTES = MAX_EVENT_BYTES + MAX_GROUP_BYTES
"""Groups of lines, and their bytes, that may wait for others that began before them and go on behind them."""


class Boundary(NamedTuple):
    """A place between two events: the byte and the number (from 1) of the first line that is not in one yet."""

    offset: int
    line: int


class Reader:
    """Turns lines into events, in the order of their first lines.

    `strict`: a line that does not fit the format is rejected instead of being tried with the others. `inherit`:
    an event without a time takes that of the event before it, as suits a file that is read through; else, and
    for the first ones, it is the time of receipt. `last_ns` is that time of the event before; hand it to the
    reader that goes on at the boundary. Not thread-safe.
    """

    def __init__(
        self,
        file_format: Format,
        defaults: Defaults,
        source: str,
        *,
        strict: bool = False,
        inherit: bool = False,
        last_ns: int = UNSAID,
        boundary: Boundary = Boundary(0, 1),  # noqa: B008 - immutable
    ) -> None:
        self.format = file_format
        self.defaults = defaults
        self.source = source
        self.inherit = inherit
        self.last_ns = last_ns
        self.ready: list[Event] = []
        self.rejected: list[Rejected] = []
        self._strict = strict
        self._offset, self._number = boundary
        self._open: deque[Group] = deque()
        self._streams: dict[str, Group] = {}
        self._current = boundary.line
        self._inner = file_format.inner or file_format
        self._others = () if strict else others(self._inner)
        self._takes_json = not strict or self._inner.name in _JSON

    @property
    def boundary(self) -> Boundary:
        """Where a new reader would have to begin: everything before it is in `ready`, `rejected`, or taken."""
        if self._open:
            return Boundary(self._open[0].offset, self._open[0].line)
        return Boundary(self._offset, self._number)

    @property
    def waiting(self) -> bool:
        """Whether lines wait for others that may belong to them."""
        return bool(self._open)

    def feed(self, lines: Iterable[bytes]) -> None:
        """Take lines, each without its newline and none longer than MAX_EVENT_BYTES."""
        offset, number = self._offset, self._number
        unwrap = self.format.unwrap
        open_groups = self._open
        quick = unwrap is None and self._takes_json
        for line in lines:
            if quick and line[:1] == b"{" and not open_groups:
                self._json_line(line, offset, number)
            elif unwrap is None:
                self._line(line, offset, number)
            else:
                self._wrapped(line, offset, number)
            offset += len(line) + 1
            number += 1
            if len(open_groups) > 1 and self._too_much_open():
                self.flush()
        self._offset, self._number = offset, number

    def _too_much_open(self) -> bool:
        """Whether too much waits for a line in parts that began before it, or for a stream that never pauses."""
        return len(self._open) > MAX_OPEN or sum(group.size for group in self._open) > MAX_OPEN_BYTES

    def feed_last(self, line: bytes) -> None:
        """Take the last line of a file, which has no newline."""
        self.feed([line])
        self._offset -= 1

    def feed_too_long(self, prefix: bytes, length: int) -> None:
        """Take a line of `length` bytes, newline included, that is too long for an event; `prefix` is its start."""
        self.flush()
        self._reject(_TOO_LONG, prefix, self._number)
        self._offset += length
        self._number += 1

    def flush(self) -> None:
        """Nothing more belongs to the lines so far: make events of them."""
        for group in list(self._open):
            if group.parts is not None:
                self._end_parts(group)
        for group in list(self._open):
            if not group.done:
                self._done(group)

    def take(self) -> tuple[list[Event], list[Rejected]]:
        """What is ready, which is forgotten here."""
        taken = self.ready, self.rejected
        self.ready, self.rejected = [], []
        return taken

    # --- unwrapping ------------------------------------------------------------------------------------

    def _wrapped(self, line: bytes, offset: int, number: int) -> None:
        assert self.format.unwrap is not None  # noqa: S101 - tells mypy what `feed` has asked
        piece = self.format.unwrap(line.removesuffix(b"\r"), self.defaults)
        if piece is None:
            if self._strict and line.strip():
                foreign = self._begin(_FOREIGN, offset, number)
                foreign.broken, foreign.raw = f"not a line of {self.format.name}", line
                self._done(foreign)
            else:
                self._line(line, offset, number)
            return
        parts = self._streams.get(_parts_of(piece.stream))
        if parts is None:
            if not piece.partial:
                self._line(piece.line, offset, number, piece)
                return
            parts = self._begin(_parts_of(piece.stream), offset, number)
            parts.parts = bytearray()
            parts.timestamp, parts.attributes = piece.timestamp, piece.attributes
        self._current = parts.end = number
        parts.size += len(piece.line)
        if parts.parts is not None and parts.size <= MAX_EVENT_BYTES:
            parts.parts += piece.line
        if not piece.partial:
            self._end_parts(parts)

    def _end_parts(self, group: Group) -> None:
        """The line that came in parts is complete, and is treated like any other."""
        del self._streams[group.stream]
        line, group.parts = bytes(group.parts or b""), None
        if group.size > MAX_EVENT_BYTES:
            group.broken, group.raw = _TOO_LONG, line[:MAX_RAW_BYTES]
            self._done(group)
            return
        stream = group.stream.removesuffix(_PARTS)
        piece = Piece(line, stream, group.timestamp, False, group.attributes)
        self._line(line, group.offset, group.line, piece, placeholder=group)

    # --- joining ---------------------------------------------------------------------------------------

    def _json_line(self, line: bytes, offset: int, number: int) -> None:
        """The short way of most lines of most files: a JSON object with nothing before it that waits."""
        try:
            event = read_object(decode(line), self.defaults)
        except NotAnEvent:
            self._line(line, offset, number)
            return
        self._emit(event, DEFAULT_LEVEL, line, number)

    def _line(
        self, line: bytes, offset: int, number: int, piece: Piece | None = None, placeholder: Group | None = None
    ) -> None:
        """Add a line to the group it belongs to, or begin one. `placeholder` kept its place while it came in parts."""
        stream = piece.stream if piece is not None else ""
        group = self._streams.get(stream)
        if number == 1:
            line = line.removeprefix(BOM)
        text = text_of(line.strip(b"\x00\r") if b"\x00" in line else line.rstrip(b"\r"))  # a crash leaves NULs
        event = None
        if not text or text.isspace():
            if group is not None:
                group.blanks += 1
                group.size += len(line) + 1
            self._discard(placeholder)
            return
        if group is not None:
            belongs, event = self._belongs(group, text, len(line))
            if belongs:
                group.end = self._current if placeholder is not None else number
                self._discard(placeholder)
                if group.done:
                    self._done(group)
                return
            self._done(group)
        if placeholder is None:
            placeholder = self._begin(stream, offset, number)
        else:
            placeholder.stream = stream
            self._streams[stream] = placeholder
        if piece is not None:
            placeholder.timestamp, placeholder.attributes = piece.timestamp, piece.attributes
        self._head(placeholder, line, text, event)

    def _begin(self, stream: str, offset: int, number: int) -> Group:
        group = Group(stream, offset, number)
        self._open.append(group)
        self._streams[stream] = group
        return group

    def _discard(self, placeholder: Group | None) -> None:
        """The parts have become a line of another group, or are blank."""
        if placeholder is not None:
            placeholder.void = True
            self._done(placeholder)

    def _head(self, group: Group, line: bytes, text: str, event: Event | None) -> None:
        """The first line of a group; `event` is what it was understood as already."""
        group.raw, group.size = line, len(line)
        whole = False
        group.kind = begins_trace(text)
        if group.kind or shows_trace(text):
            group.own, group.trace_at = True, 0
            group.kind = group.kind or follows("", text, after_blank=False).kind
            group.lines.append(text)
            if self._strict and self._inner.joins == "nothing":
                group.broken = f"not a line of {self._inner.name}"
        elif text == "{":
            group.pretty = True
            group.lines.append(text)
        elif event is not None:
            group.event = event
        else:
            try:
                group.event, whole = self._parse(line, text)
            except NotAnEvent as error:
                group.broken, whole = error.reason, True
        if whole:
            self._done(group)

    def _belongs(self, group: Group, text: str, size: int) -> tuple[bool, Event | None]:
        """Whether a line that is not blank belongs to the group, to which it is added then; else perhaps its event."""
        if group.size + size > MAX_GROUP_BYTES or len(group.lines) + group.blanks >= MAX_LINES:
            return False, None
        if group.pretty:
            group.done = text[0] == "}"
            belongs = group.done or text[0] in " \t"
        elif start := begins_trace(text):
            belongs = self._trace_belongs(group, text, start)
        else:
            verdict = follows(group.kind, text, after_blank=group.blanks > 0)
            belongs = verdict.belongs
            if belongs:
                group.kind = verdict.kind
                if group.trace_at is None and shows_trace(text):
                    group.trace_at = len(group.lines) + group.blanks
            elif self._inner.joins == "anything":
                event = self._known(text)
                if event is not None or (self._takes_json and text[0] == "{" and text[-1] == "}"):
                    return False, event
                belongs = True
        if belongs:
            group.lines.extend([""] * group.blanks)
            group.lines.append(text)
            group.blanks = 0
            group.size += size + 1
        return belongs, None

    def _trace_belongs(self, group: Group, text: str, start: Kind) -> bool:
        """A trace belongs to an event that tells of trouble, or says no level, and has no trace yet.

        Behind an INFO it is what a dying program left: an event of its own, so that it is found as an error.
        """
        chained = follows(group.kind, text, after_blank=group.blanks > 0)
        if chained.belongs:
            group.kind = chained.kind
            return True
        if group.trace_at is not None or start == "go" or group.event is None:
            return False
        if UNSAID < group.event.level < _WARNING:
            return False
        group.trace_at = len(group.lines) + group.blanks
        group.kind = start
        return True

    # --- parsing ---------------------------------------------------------------------------------------

    def _known(self, text: str) -> Event | None:
        """The event of a line that is the first of one by the file's format or by another."""
        for item in (self._inner, *self._others):
            event = item.parse(text, self.defaults)
            if event is not None:
                return event
        return None

    def _parse(self, line: bytes, text: str) -> tuple[Event, bool]:
        """The event of a first line, and whether nothing can follow it. Raises NotAnEvent."""
        event = self._parse_json(line) if text[0] == "{" and self._takes_json else None
        if event is not None:
            return event, True
        event = self._inner.parse(text, self.defaults)
        if event is not None:
            return event, self._inner.joins == "nothing"
        if self._strict:
            raise NotAnEvent(f"not a line of {self._inner.name}")
        if "\x00" in text:
            raise NotAnEvent("not text")
        return self._known(text) or parse_plain(text, self.defaults), False

    def _parse_json(self, line: bytes) -> Event | None:
        try:
            return parse_json(line.strip(b"\x00\r"), self.defaults)
        except NotAnEvent:
            if self._inner.name in _JSON:
                raise
            return None  # text that happens to start with a brace

    # --- finishing -------------------------------------------------------------------------------------

    def _done(self, group: Group) -> None:
        """Nothing more belongs to the group; emit what is complete.

        That is the groups before a line which none of them reaches over, so that this line is a boundary.
        """
        group.done = True
        if self._streams.get(group.stream) is group:
            del self._streams[group.stream]
        for _ in range(self._complete()):
            self._close(self._open.popleft())

    def _complete(self) -> int:
        """How many groups from the front are done, and end before the next one begins."""
        found = end = 0
        for index, group in enumerate(self._open):
            if end < group.line:
                found = index
            if not group.done:
                return found
            end = max(end, group.end)
        return len(self._open)

    def _close(self, group: Group) -> None:
        if group.void:
            return
        raw = "\n".join(group.lines).encode() if group.pretty or group.own else group.raw
        try:
            event = self._event(group)
        except NotAnEvent as error:
            self._reject(error.reason, raw, group.line)
            return
        if group.timestamp != UNSAID and event.timestamp == UNSAID:
            event = event._replace(timestamp=group.timestamp)
        if group.attributes:
            event = with_attributes(event, group.attributes)
        self._emit(event, DEFAULT_LEVEL if group.trace_at is None else _ERROR, raw, group.line)

    def _event(self, group: Group) -> Event:
        if group.broken:
            raise NotAnEvent(group.broken)
        if group.pretty:
            return self._pretty("\n".join(group.lines))
        if group.own:
            level = _FATAL if group.kind == "go" else _ERROR
            bare = parse_plain("", self.defaults)
            trace = exception_text("\n".join(group.lines))
            return bare._replace(level=level, message=own_message(group.lines, group.kind), exception=trace)
        assert group.event is not None  # noqa: S101 - a group without one is broken, pretty or its own trace
        return _with_lines(group.event, group.lines, group.trace_at)

    def _pretty(self, text: str) -> Event:
        """The event of a JSON object over several lines, or of text that only looked like one."""
        event = self._parse_json(text.encode()) if self._takes_json else None
        if event is None and self._strict:
            raise NotAnEvent(f"not a line of {self._inner.name}")
        return event or parse_plain(text, self.defaults)

    def _emit(self, event: Event, missing_level: int, raw: bytes, number: int) -> None:
        if event[0] == UNSAID or event[1] == UNSAID:
            inherited = self.last_ns if self.inherit and self.last_ns != UNSAID else self.defaults.received_ns
            event = complete(event, inherited, missing_level)
        if len(event[7]) + len(event[11]) + len(event[12]) > _LARGE and not _fits(event):
            self._reject(_TOO_LONG, raw, number)
            return
        self.last_ns = event[0]
        self.ready.append(event)

    def _reject(self, reason: str, raw: bytes, number: int) -> None:
        self.rejected.append(rejected(reason, raw, self.source, number))


def _parts_of(stream: str) -> str:
    """Under which name the line of a stream is kept that still comes in parts."""
    return stream + _PARTS


def _with_lines(event: Event, lines: list[str], trace_at: int | None) -> Event:
    """The event with the lines that follow its first: up to the trace they are message."""
    if not lines:
        return event
    at = len(lines) if trace_at is None else trace_at
    message, trace = lines[:at], lines[at:]
    if trace and event.exception:
        message, trace = lines, []
    text = "\n".join([event.message, *message] if event.message else message)
    exception = exception_text("\n".join(trace)) if trace else event.exception
    return event._replace(message=text, exception=exception)


def _fits(event: Event) -> bool:
    """Whether an event's text is within its bound, and not twice as large once escaped for the wire."""
    return (
        sum(len(text.encode()) for text in event[2:]) <= MAX_EVENT_BYTES
        and len(orjson.dumps(event[2:])) <= 2 * MAX_EVENT_BYTES
    )
