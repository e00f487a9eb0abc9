"""A run of `monitoring ingest`: from its inputs to the store.

    Feed.step -> collect -> seal (frame and places in one commit) -> pump -> released

Nothing is sent that is not in `ingest.db`, and no line is passed over there whose event is not in a frame. So
a run that is killed, or interrupted, goes on where it stopped: its frames are sent again under their lane and
seqs, and its files are read from their places.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.errors import AlreadyRunning
from monitoring.pipeline.events.event import Event, Rejected
from monitoring.pipeline.ingest.feed import Feed, Options
from monitoring.pipeline.ingest.follow import Follower, missed
from monitoring.pipeline.ingest.lanes import Lanes, Stored
from monitoring.pipeline.ingest.report import FileReport, Report
from monitoring.pipeline.ingest.source import Broken, FileSource, PipeSource, Unreadable, open_source
from monitoring.pipeline.ingest.state import IngestState, Lock, Place

__all__ = ["FRAME_BYTES", "Ingest", "Tuning"]

FRAME_BYTES = 256 << 10
"""Text of a frame: large enough that its commit and its round trip do not show, small enough to hold many."""
_POLL_SECONDS = 0.1
"""How often a followed file is looked at."""
_GRACE_SECONDS = 3.0
"""How long an interrupted run waits for what it has sent: two polls of the watermark and a commit."""
_PROBLEMS = (Unreadable, AlreadyRunning, Broken)


@dataclass(frozen=True, slots=True)
class Tuning:
    """Events a frame, and seconds that a first event waits for others."""

    frame_events: int = 1000
    flush_seconds: float = 0.2


class Ingest:
    """One run. Used by one thread. `stop` is asked often; `watch` is called with the report so far, often too.

    Raises what the bus refuses (BusRefused, IngestRefused, SettingsError) and what the disk does (StoreFull);
    the next run goes on where this one was then.
    """

    def __init__(
        self,
        state: IngestState,
        lanes: Lanes,
        options: Options,
        *,
        tuning: Tuning = Tuning(),
        again: bool = False,
        stop: Callable[[], bool] = lambda: False,
        watch: Callable[[Report], None] = lambda report: None,
        now_ns: NowNs = wall_ns,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`again`: read files from their start, whatever earlier runs have read."""
        self.report = Report()
        self._state = state
        self._lanes = lanes
        self._options = options
        self._tuning = tuning
        self._again = again
        self._stop = stop
        self._watch = watch
        self._now_ns = now_ns
        self._clock = clock
        self._sleep = sleep
        self._begun = clock()
        self._events: list[Event] = []
        self._rejected: list[Rejected] = []
        self._bytes = 0
        self._since = 0.0
        self._touched: dict[Feed, None] = {}
        self._reports: dict[Feed, FileReport] = {}
        self._offsets: dict[Feed, int] = {}

    # --- the two ways to run ---------------------------------------------------------------------------

    def run(self, inputs: Sequence[Path | None]) -> Report:
        """Read each input (None: standard input) to its end, and wait until all is committed or `stop` says so."""
        self.report.total_bytes = _total_bytes(inputs)
        for path in inputs:
            if self._stop():
                break
            feed = self._open(path)
            if feed is not None:
                self._read_through(feed)
        return self._end()

    def follow(self, paths: Sequence[Path]) -> Report:
        """Read the files and what is written to them, across rotation, until `stop` says so."""
        self.report.total_bytes = None
        self._read_missed(paths)
        followers = [Follower(path, self._begin_followed) for path in paths]
        while followers and not self._stop():
            busy = False
            for follower in list(followers):
                try:
                    busy |= follower.step(self._clock(), self._now_ns())
                except _PROBLEMS as error:
                    self._note_problem(follower.path, follower.feed, str(error))
                    followers.remove(follower)
                    follower.give_up(self._now_ns())
                self._take_from(follower)
            self._turn(busy)
        for follower in followers:
            if follower.feed is not None:
                self._reports[follower.feed].outcome = "stopped"
                self._retire(follower.feed)
        return self._end()

    def close(self) -> None:
        """Give up the files and their locks."""
        for feed in {**self._touched, **self._reports}:
            feed.close()

    # --- inputs ----------------------------------------------------------------------------------------

    def _open(self, path: Path | None) -> Feed | None:
        """The feed of an input, or None with the reason in the report."""
        try:
            source = PipeSource(0) if path is None else open_source(path)
            if isinstance(source, FileSource):
                return self._begin(source, live=False)
            return self._register(self._feed(source, Place(), live=True))
        except _PROBLEMS as error:
            self._note_problem(path or Path("stdin"), None, str(error))
            return None

    def _feed(self, source: FileSource | PipeSource, place: Place, *, live: bool, lock: Lock | None = None) -> Feed:
        return Feed(source, self._options, place, live=live, lock=lock, slice_lines=self._tuning.frame_events)

    def _begin(self, source: FileSource, *, live: bool, previous: Feed | None = None, at: Place | None = None) -> Feed:
        """A feed of this file, locked, at the place where earlier runs stopped or `at` another.

        `previous` is the feed of the same name that was truncated: its lock passes over.
        """
        lock = None
        try:
            if previous is not None and previous.home is not None and previous.home.same_file(source.identity):
                lock, previous.lock = previous.lock, None
                feed = self._feed(source, Place(previous.place.generation + 1), live=live, lock=lock)
                feed.dirty = True
                return self._register(feed)
            lock = self._state.lock_file(source.identity, source.name)
            place = at or (Place() if self._again else self._state.place(source.identity))
            return self._register(self._feed(source, place, live=live, lock=lock))
        except BaseException:
            source.close()
            if lock is not None:
                lock.release()
            raise

    def _begin_followed(self, path: Path, previous: Feed | None) -> Feed | None:
        try:
            source = FileSource(path)
        except Unreadable:
            if not path.exists():
                return None
            raise
        if source.compression:
            source.close()
            raise Unreadable(f"{path} is compressed and cannot be followed; ingest it without --follow")
        return self._begin(source, live=True, previous=previous)

    def _read_missed(self, paths: Sequence[Path]) -> None:
        """Read to its end what was rotated away under these names since an earlier run followed them."""
        for path in paths:
            last = None if self._again else self._state.last_of(str(path.absolute()))
            if last is None:
                continue
            for candidate, place in missed(path, last, self._state.known):
                try:
                    feed = self._begin(FileSource(candidate), live=False, at=place)
                except _PROBLEMS as error:
                    self._note_problem(candidate, None, str(error))
                else:
                    self._read_through(feed)

    def _register(self, feed: Feed) -> Feed:
        place = feed.place
        report = FileReport(feed.name, lines=place.line - 1, resumed_at_line=place.line if place.offset else 0)
        self.report.files.append(report)
        self._reports[feed] = report
        self._offsets[feed] = place.offset
        return feed

    def _read_through(self, feed: Feed) -> None:
        """Read one input to its end, unless told to stop before."""
        done_before = self.report.done_bytes
        while not self._stop() and not feed.ended:
            busy = True
            try:
                busy = feed.step(self._clock(), self._now_ns())
                ended = not busy and feed.source.at_end
            except _PROBLEMS as error:
                self._note_problem(Path(feed.name), feed, str(error))
                ended = True
            if ended:
                feed.finish(self._now_ns())
            self._collect(feed)
            self.report.done_bytes = done_before + feed.source.done_bytes
            if not feed.ended:
                self._turn(busy)
        if not feed.ended:
            self._reports[feed].outcome = "stopped"
            if feed.identity is None:
                feed.finish(self._now_ns(), at_once=True)  # what came through a pipe does not come again
                self._collect(feed)
        self._retire(feed)

    def _take_from(self, follower: Follower) -> None:
        """Collect what a follower has, its feeds that have ended first."""
        for feed in follower.retired:
            self._collect(feed)
            self._retire(feed)
        follower.retired.clear()
        if follower.feed is not None and follower.feed in self._reports:
            self._collect(follower.feed)

    def _retire(self, feed: Feed) -> None:
        """The feed has given its events; it is closed once its place is stored."""
        report = self._reports.pop(feed)
        self._offsets.pop(feed)
        if report.problem and not report.lines:
            report.outcome = "unreadable"
        elif feed.ended and not report.problem and not report.bytes and report.resumed_at_line:
            report.outcome = "unchanged"
        feed.retired = True
        if feed not in self._touched:
            feed.close()

    def _note_problem(self, path: Path, feed: Feed | None, problem: str) -> None:
        report = None if feed is None else self._reports.get(feed)
        if report is None:
            self.report.files.append(FileReport(str(path), outcome="unreadable", problem=problem))
            return
        report.problem = problem

    # --- the way of the events -------------------------------------------------------------------------

    def _collect(self, feed: Feed) -> None:
        """Take what the feed has ready into the batch."""
        events, rejected = feed.take()
        if not feed.dirty:
            return
        report, place = self._reports[feed], feed.place
        moved = place.offset - self._offsets[feed]
        report.events += len(events)
        report.rejected += len(rejected)
        report.format = feed.format
        report.lines = place.line - 1
        report.bytes += moved
        self._offsets[feed] = place.offset
        self._touched[feed] = None
        if not self._events and not self._rejected:
            self._since = self._clock()
        self._events += events
        self._rejected += rejected
        self._bytes += moved

    def _turn(self, busy: bool) -> None:
        """Between two steps: seal what is due, send what is sealed, and wait where nothing else is to do."""
        if self._due():
            self._seal()
            while self._lanes.crowded and not self._stop():
                self._pump(wait=True)
        self._pump(wait=not busy)

    def _due(self) -> bool:
        many = len(self._events) + len(self._rejected)
        if many >= self._tuning.frame_events or self._bytes >= FRAME_BYTES:
            return True
        return many > 0 and self._clock() - self._since >= self._tuning.flush_seconds

    def _seal(self) -> None:
        """Make a frame of the batch and store it with the places behind its lines, in one commit."""
        events, rejected = self._events, self._rejected
        places = self._places()
        if events or rejected:
            self._lanes.seal(events, rejected, places)
            self.report.add(events, rejected)
        elif places:
            self._state.commit(None, places, now_ns=self._now_ns())  # blank lines are read, and make no events
        self._events, self._rejected, self._bytes = [], [], 0
        for feed in self._touched:
            feed.dirty = False
            if feed.retired:
                feed.close()
        self._touched.clear()

    def _places(self) -> list[Stored]:
        return [
            (identity, str(Path(feed.name).absolute()), feed.place)
            for feed in self._touched
            if (identity := feed.identity) is not None and not feed.superseded
        ]

    def _pump(self, *, wait: bool) -> None:
        """Send what is due and tell how it stands; then, if asked to, sleep until there is more to do."""
        pause = min(self._lanes.pump(), _POLL_SECONDS)
        report = self.report
        report.in_flight, report.recovered = self._lanes.in_flight, self._lanes.recovered
        report.trouble = self._lanes.trouble
        report.seconds = self._clock() - self._begun
        self._watch(report)
        if wait and pause > 0:
            self._sleep(pause)

    def _end(self) -> Report:
        """Store what is left and wait for its commit: as long as it takes or, when told to stop, a little."""
        self._seal()
        gives_up: float | None = None
        self._pump(wait=False)
        while not self._lanes.idle:
            if self._stop():
                gives_up = self._clock() + _GRACE_SECONDS if gives_up is None else gives_up
                if self._clock() >= gives_up:
                    break
            self._pump(wait=True)
        self.report.interrupted = self._stop()
        return self.report


def _total_bytes(inputs: Sequence[Path | None]) -> int | None:
    """Bytes of all files; None where one is a pipe."""
    total = 0
    for path in inputs:
        if path is None:
            return None
        try:
            total += path.stat().st_size
        except OSError:
            continue
    return total
