"""One input on its way: bytes -> lines -> events, and the place behind them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from datetime import tzinfo

from monitoring.pipeline.events.defaults import Defaults, file_stem
from monitoring.pipeline.events.event import Event, Rejected
from monitoring.pipeline.events.formats.format import Format
from monitoring.pipeline.events.formats.known import SAMPLE_LINES, by_key, sniff
from monitoring.pipeline.events.reader import Boundary, Reader
from monitoring.pipeline.ingest.lines import LineCutter, TooLong
from monitoring.pipeline.ingest.source import BLOCK_BYTES, FileSource, PipeSource
from monitoring.pipeline.ingest.state import Identity, Lock, Place

__all__ = ["JOIN_SECONDS", "Feed", "Options"]

SAMPLE_BYTES = 64 << 10
SAMPLE_SECONDS = 0.5
RECONSIDER_LINES = 50
"""A format is told by this much of an input, or by what has come within half a second; if that was little, the
format is told again by the first 50 lines."""
JOIN_SECONDS = 1.0
"""How long the last event of an input that goes on waits for more lines of its own. A process writes a trace
within milliseconds, but a full pipe or a busy disk may part it."""
_YEAR_2000_NS = 946_684_800 * 10**9


@dataclass(frozen=True, slots=True)
class Options:
    """What the user said of the input: see Defaults. `file_format` None: tell it by looking."""

    file_format: Format | None = None
    service: str = ""
    environment: str = ""
    release: str = ""
    host: str = ""
    zone: tzinfo | None = None


class Feed:
    """Reads one file from a place on, or standard input, into events.

    `live`: more may come later (standard input, a followed file), so that an event without a time is of now;
    one in a file that was written before is of the time of the event before it. Guarantee: a new Feed at
    `place` yields the events that this one has not yielded yet, whatever happens to this one.

    `home` is the file that was opened and that `lock` owns. `ended`: it was read to its end. For its user:
    `dirty`: the place has changed since this was set back; `superseded`: the place is of no use, since the file
    was truncated; `retired`: to be closed once the place is stored.
    """

    def __init__(
        self,
        source: FileSource | PipeSource,
        options: Options,
        place: Place,
        *,
        live: bool,
        lock: Lock | None = None,
        slice_lines: int = 1000,
    ) -> None:
        """`slice_lines` are parsed at a time. Raises Broken where a compressed file ends before the place."""
        self.source = source
        self.name = source.name
        self.live = live
        self.lock = lock
        self.home = source.identity if isinstance(source, FileSource) else None
        self.ended = False
        self.dirty = False
        self.superseded = False
        self.retired = False
        self._options = options
        self._start = place
        self._slice_lines = slice_lines
        self._recent: list[bytes] | None = None
        self._last: bytes | TooLong | None = None
        self._cutter = LineCutter()
        self._sample: list[list[bytes] | TooLong] = []
        self._sample_lines = self._sample_bytes = 0
        self._waiting: deque[list[bytes] | TooLong] = deque()
        self._reader: Reader | None = None
        self._read_at: float | None = None
        self._old = isinstance(source, FileSource)  # its lines were written before now, until its end is reached
        if isinstance(source, FileSource):
            source.seek(place.offset)

    @property
    def format(self) -> str:
        """The key of its format; "" while it is not known."""
        return self._reader.format.key if self._reader is not None else self._start.format

    @property
    def lines(self) -> int:
        """Lines that are in events, from the start of the file."""
        return self.place.line - 1

    @property
    def identity(self) -> Identity | None:
        """Which file it is; None for standard input."""
        if not isinstance(self.source, FileSource):
            return None
        identity = self.source.identity
        return replace(identity, size=max(identity.size, self.source.done_bytes)) if self.source.plain else identity

    @property
    def place(self) -> Place:
        """The place behind the events that were yielded, once `take` was called."""
        if self._reader is None:
            return self._start
        offset, line = self._reader.boundary
        return Place(self._start.generation, offset, line, self._reader.format.key, self._reader.last_ns)

    @property
    def idle(self) -> bool:
        """Whether everything that was read is in events."""
        return not self._waiting and not self._sample and (self._reader is None or not self._reader.waiting)

    def step(self, now: float, now_ns: int) -> bool:
        """Parse some lines, or read some bytes; False where there are none for now. Raises Broken, Unreadable.

        `now` is seconds of any steady clock, `now_ns` the time of receipt.
        """
        if self._waiting and self._reader is not None:
            self._parse(self._waiting.popleft(), now_ns)
            return True
        data = self.source.read(BLOCK_BYTES)
        if not data:
            self._pause(now, now_ns)
            return False
        self._read_at = now
        self._push(self._cutter.push(data))
        if self._reader is None and (self._sample_lines >= SAMPLE_LINES or self._sample_bytes >= SAMPLE_BYTES):
            self._begin(now_ns)
        return True

    def take(self) -> tuple[list[Event], list[Rejected]]:
        """The events since the last call, and the lines that are none."""
        return self._reader.take() if self._reader is not None else ([], [])

    def finish(self, now_ns: int, *, at_once: bool = False) -> None:
        """The input has ended: what is left is the last line, and the last event. Then it is `ended`.

        While lines wait to be parsed nothing is done but, with `at_once`, to parse all of them.
        """
        if self._last is None:
            self._last = self._cutter.last()
            if self._reader is None and (self._sample or self._last):
                self._begin(now_ns, self._last if isinstance(self._last, bytes) else b"")
        while self._waiting and at_once:
            self._parse(self._waiting.popleft(), now_ns)
        if self._waiting or self.ended:
            return
        reader = self._reader
        if reader is not None:
            reader.defaults = self._defaults(now_ns)
            if isinstance(self._last, TooLong):
                reader.feed_too_long(self._last.prefix, self._last.length)
            elif self._last:
                reader.feed_last(self._last)
            reader.flush()
            self.dirty = True
        self.ended = True

    def hand_over(self, source: FileSource) -> None:
        """Read on from another source, which goes on where this one was cut off; this one is closed."""
        self.source.close()
        self.source = source

    def close(self) -> None:
        """Give up the input and its lock."""
        self.source.close()
        if self.lock is not None:
            self.lock.release()

    def _push(self, runs: list[list[bytes] | TooLong]) -> None:
        for run in runs:
            if isinstance(run, TooLong):
                (self._sample if self._reader is None else self._waiting).append(run)
                continue
            if self._reader is None:
                self._sample.append(run)
                self._sample_lines += len(run)
                self._sample_bytes += sum(map(len, run))
            else:
                self._slice(run)

    def _slice(self, run: list[bytes]) -> None:
        for start in range(0, len(run), self._slice_lines):
            self._waiting.append(run[start : start + self._slice_lines])

    def _pause(self, now: float, now_ns: int) -> None:
        """Nothing more has come: tell the format by what there is, and end an event that has waited long enough."""
        if not self.live or self._read_at is None:
            return
        self._old = False
        if self._reader is None and self._sample and now - self._read_at >= SAMPLE_SECONDS:
            self._begin(now_ns)
        elif self._reader is not None and self._reader.waiting and now - self._read_at >= JOIN_SECONDS:
            self._reader.flush()
            self.dirty = True

    def _begin(self, now_ns: int, last: bytes = b"") -> None:
        """Tell the format and begin to parse; `last` is a line without newline, which is parsed later."""
        defaults = self._defaults(now_ns)
        sample = [line for run in self._sample if isinstance(run, list) for line in run]
        if last:
            sample.append(last)
        if self._options.file_format is not None:
            found = self._chosen(sample, defaults)
        elif self._start.format:
            found = by_key(self._start.format)
        else:
            found = sniff(sample, defaults)
            self._recent = [] if self.live and len(sample) < RECONSIDER_LINES else None
        self._reader = self._make_reader(
            found, defaults, self._start.last_ns, Boundary(self._start.offset, self._start.line)
        )
        runs, self._sample = self._sample, []
        for run in runs:
            if isinstance(run, TooLong):
                self._waiting.append(run)
            else:
                self._slice(run)

    def _make_reader(self, found: Format, defaults: Defaults, last_ns: int, boundary: Boundary) -> Reader:
        return Reader(
            found,
            defaults,
            str(self.source.path.absolute()) if isinstance(self.source, FileSource) else self.name,
            strict=self._options.file_format is not None,
            inherit=self._old,
            last_ns=last_ns,
            boundary=boundary,
        )

    def _reconsider(self, run: list[bytes]) -> None:
        """Tell the format again once there is enough to tell it by; the next lines are read in it."""
        reader = self._reader
        if self._recent is None or reader is None:
            return
        self._recent += run
        if len(self._recent) < RECONSIDER_LINES:
            return
        found = sniff(self._recent, reader.defaults)
        self._recent = None
        if found.key != reader.format.key:
            reader.flush()
            self._reader = self._make_reader(found, reader.defaults, reader.last_ns, reader.boundary)
            self._reader.ready, self._reader.rejected = reader.take()

    def _chosen(self, sample: list[bytes], defaults: Defaults) -> Format:
        """The format that the user named; what its lines wrap is told by looking."""
        chosen = self._options.file_format
        assert chosen is not None  # noqa: S101 - the caller has asked
        if chosen.unwrap is None:
            return chosen
        seen = sniff(sample, defaults)
        return seen if seen.name == chosen.name else chosen

    def _parse(self, run: list[bytes] | TooLong, now_ns: int) -> None:
        reader = self._reader
        assert reader is not None  # noqa: S101 - only called once it is there
        reader.defaults = self._defaults(now_ns)
        reader.inherit = self._old
        if isinstance(run, TooLong):
            reader.feed_too_long(run.prefix, run.length)
        else:
            reader.feed(run)
            self._reconsider(run)
        self.dirty = True

    def _defaults(self, now_ns: int) -> Defaults:
        options = self._options
        return Defaults(
            received_ns=now_ns,
            service=options.service,
            fallback_service=file_stem(self.name),
            environment=options.environment,
            release=options.release,
            host=options.host,
            zone=options.zone,
            reference_ns=self._reference(now_ns),
        )

    def _reference(self, now_ns: int) -> int:
        """The latest that a time without year can be: when the file was last written, if that can be believed."""
        if self.live or not isinstance(self.source, FileSource):
            return now_ns
        modified = self.source.modified_ns
        return modified if _YEAR_2000_NS < modified < now_ns else now_ns
