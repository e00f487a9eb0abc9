"""Lines of a file that belong together while it is read."""

from __future__ import annotations

from collections.abc import Mapping

from monitoring.pipeline.events.event import Event
from monitoring.pipeline.events.lenient import UNSAID
from monitoring.pipeline.events.multiline import Kind

__all__ = ["Group"]


class Group:
    """Lines that become one event, or one line that still comes in parts.

    `line` and `end` are the numbers of its first line and its last. `event` is that of the first line; it is
    None where that is `broken` (the reason), the first of a trace (`own`) or of an object written over several
    lines (`pretty`). `trace_at` is the index in `lines` at which a trace begins. `blanks` counts empty lines
    that belong only if another line follows. `void`: its line became part of another group.
    """

    __slots__ = (
        "attributes",
        "blanks",
        "broken",
        "done",
        "end",
        "event",
        "kind",
        "line",
        "lines",
        "offset",
        "own",
        "parts",
        "pretty",
        "raw",
        "size",
        "stream",
        "timestamp",
        "trace_at",
        "void",
    )

    def __init__(self, stream: str, offset: int, line: int) -> None:
        self.stream, self.offset, self.line, self.end = stream, offset, line, line
        self.event: Event | None = None
        self.broken = ""
        self.raw = b""
        self.lines: list[str] = []
        self.blanks = 0
        self.size = 0
        self.kind: Kind = ""
        self.own = False
        self.pretty = False
        self.trace_at: int | None = None
        self.parts: bytearray | None = None
        self.timestamp = UNSAID
        self.attributes: Mapping[str, object] = {}
        self.done = False
        self.void = False
