"""A store as small as can be, behind a real bus, and a transport whose replies can be lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monitoring.pipeline.bus.frame import Frame, decode_payload
from monitoring.pipeline.bus.streams import Reply, Streams, StreamTransport, connect, stream_key
from monitoring.pipeline.errors import BusUnavailable, MonitoringError
from monitoring.pipeline.events.delta import Delta
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.publish.publisher import Publisher
from monitoring.pipeline.publish.spool import Spool


def event(number: int, *, level: int = 9, message: str | None = None, attributes: str = "") -> Event:
    return Event(number, level, "api", message=str(number) if message is None else message, attributes=attributes)


def delta(number: int, labels: str = "{}") -> Delta:
    return Delta(number, 10_000_000_000, "api", family='{"name":"x","kind":"counter"}', labels=labels, value="1")


def spool_in(directory: Path) -> Spool:
    """A spool that is not full in any test."""
    return Spool(directory, max_bytes=1 << 30)


class Store:
    """Commits every frame once, as the drains do: reads from the start, remembers seqs by lane, deletes, tells."""

    def __init__(self, url: str, *, partitions: int = 1, signal: str = "logs", announced: bool = True) -> None:
        self.signal = signal
        self.streams = Streams(connect(url))
        self.streams.announce({"logs": partitions, **({signal: partitions} if announced else {})}, "test")
        self.partitions = partitions
        self.frames: dict[tuple[str, int], Frame] = {}
        self.doubled = 0
        self.conflicts: list[tuple[str, int]] = []
        self.where: dict[str, set[int]] = {}

    def low(self, lane: str) -> int:
        low = 0
        while (lane, low + 1) in self.frames:
            low += 1
        return low

    def drain(self, count: int = 1000) -> int:
        """Commit what waits; how many entries."""
        found = 0
        for partition in range(self.partitions):
            key = stream_key(self.signal, partition)
            entries = self.streams.read({key: "0-0"}, count=count, block_ms=None).get(key, [])
            lanes = {self._apply(Frame.from_fields(entry.fields), partition) for entry in entries}
            lows = {lane: self.low(lane) for lane in lanes}
            self.streams.settle(self.signal, partition, [entry.id for entry in entries], lows)
            found += len(entries)
        return found

    def _apply(self, frame: Frame, partition: int) -> str:
        frame.verify()
        known = self.frames.setdefault((frame.lane, frame.seq), frame)
        self.doubled += known is not frame
        if known.digest != frame.digest:
            self.conflicts.append((frame.lane, frame.seq))
        self.where.setdefault(frame.lane, set()).add(partition)
        return frame.lane

    @contextmanager
    def running(self) -> Any:
        """Drain in a thread meanwhile."""
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                try:
                    found = self.drain()
                except MonitoringError:
                    found = 0  # the test has taken the bus away
                stop.wait(0.0 if found else 0.01)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join()

    def timestamps(self) -> list[int]:
        """Of all committed events, in order; tests number their events by them."""
        found: list[int] = []
        for frame in self.frames.values():
            payload = decode_payload(frame)
            times = payload.columns[0] if payload.columns else []
            found += times if isinstance(times, list) else [times] * payload.events
        return sorted(found)

    def reports(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for partition in range(self.partitions):
            found |= self.streams.reports(self.signal, partition)
        return found

    def assert_sound(self) -> None:
        """No seq is missing, none has two contents, no lane is in two partitions, and the counters add up."""
        assert not self.conflicts
        assert all(len(partitions) == 1 for partitions in self.where.values())
        for lane in self.where:
            frames = sorted((f for (name, _), f in self.frames.items() if name == lane), key=lambda f: f.seq)
            assert [frame.seq for frame in frames] == list(range(1, len(frames) + 1))
            sealed = 0
            for frame in frames:
                sealed += frame.count
                assert frame.counters["emitted"] == sealed + sum(frame.counters["dropped"].values())
                assert frame.released_below <= frame.seq


def transport(url: str, *, stream_length: int = 100_000) -> StreamTransport:
    return StreamTransport(connect(url), stream_length=stream_length)


class FlakyTransport:
    """The real transport, with failures: `fail` is asked before and after each publish and says whether to."""

    def __init__(self, url: str, fail: Callable[[str], bool]) -> None:
        self._inner = transport(url)
        self._fail = fail
        self.published: list[list[int]] = []

    def partitions(self, signal: str) -> int:
        return self._inner.partitions(signal)

    def publish(self, signal: str, partition: int, lane: str, frames: Sequence[Frame]) -> Reply:
        if self._fail("before"):
            raise BusUnavailable("the connection broke before the frames arrived")
        self.published.append([frame.seq for frame in frames])
        reply = self._inner.publish(signal, partition, lane, frames)
        if self._fail("after"):
            raise BusUnavailable("the connection broke after the frames arrived")
        return reply

    def present(self, signal: str, partition: int, entry_id: str) -> bool:
        return self._inner.present(signal, partition, entry_id)

    def report(self, signal: str, partition: int, lane: str, facts: Mapping[str, Any]) -> None:
        self._inner.report(signal, partition, lane, facts)

    def close(self) -> None:
        self._inner.close()


def publisher(url: str, **changes: Any) -> Publisher:
    return Publisher(lambda: transport(url), **{"service": "api", "flush_interval_seconds": 0.02, **changes})


def spooled_lanes(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []
