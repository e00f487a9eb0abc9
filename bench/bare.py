"""The bare loop: the same frames, the same SQL, no bus and no RQ. What the drain is compared with."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.events import make
from monitoring.pipeline.bus.frame import Frame, decode_payload, encode_payload, seal
from monitoring.pipeline.bus.streams import Entry
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.partition import Limits, Partition, acquire
from monitoring.pipeline.store.segment import Segment, create

__all__ = ["entry_of", "frames_of", "growth", "run"]

LANE = f"{1:032x}"


def frames_of(events: Sequence[Event], *, a_frame: int = 1000, lane: str = LANE) -> list[Frame]:
    """The events sealed in frames of one lane, each released long ago by a producer that hears of it."""
    return [_frame(events[first : first + a_frame], first, a_frame, lane) for first in range(0, len(events), a_frame)]


def _frame(part: Sequence[Event], first: int, a_frame: int, lane: str) -> Frame:
    seq = first // a_frame + 1
    return seal(
        lane=lane,
        seq=seq,
        released_below=max(1, seq - 100),
        signal="logs",
        count=len(part),
        created=time.time_ns(),
        counters={"emitted": first + len(part), "dropped": {}},
        payload=encode_payload(part),
    )


def run(events: int, *, batch_frames: int = 10, seed: int = 1) -> dict[str, float]:
    """Write so many events into one segment; CPU microseconds an event, events a second, bytes an event."""
    frames = frames_of(list(make(events, seed=seed)))
    directory = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        path = directory / "000001.db"
        create(path, signal="logs", partition=0, number=1, now_ns=time.time_ns())
        segment = Segment(path)
        segment.set_memory(large=True)
        wall, cpu = time.perf_counter(), time.process_time()
        for first in range(0, len(frames), batch_frames):
            _write(segment, frames[first : first + batch_frames])
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        segment.close()
        return {
            "events": events,
            "events_per_second": events / wall,
            "cpu_us_per_event": cpu / events * 1e6,
            "bytes_per_event": path.stat().st_size / events,
        }
    finally:
        shutil.rmtree(directory)


def _write(segment: Segment, frames: Sequence[Frame]) -> None:
    contents = segment.contents
    rows = contents.empty()
    for frame in frames:
        rows.extend(contents.understand(frame, decode_payload(frame), 0).rows)
    with segment.transaction():
        segment.insert(rows, [], {}, now_ns=time.time_ns())


def growth(millions: int, *, seed: int = 1) -> list[dict[str, float]]:
    """CPU an event of each million, written through the partition's writer with its roll-overs."""
    directory = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with contextlib.closing(Catalog.create_or_open(directory / CATALOG_FILE, partitions=1)) as catalog:
            partition = acquire(catalog, "logs", 0, Limits(1_000_000, 1 << 40, 1e9, 0))
            if partition is None:
                raise RuntimeError("a new partition has no holder")
            partition.set_load(heavy=True)
            found = [_million(partition, number, seed) for number in range(millions)]
            partition.release()
            return found
    finally:
        shutil.rmtree(directory)


def _million(partition: Partition, number: int, seed: int) -> dict[str, float]:
    cpu = wall = 0.0
    for part in range(10):
        events = list(make(100_000, seed=seed + number * 10 + part))
        entries = [entry_of(frame) for frame in frames_of(events, lane=f"{number * 10 + part + 1:032x}")]
        del events
        began, began_wall = time.process_time(), time.perf_counter()
        for first in range(0, len(entries), 10):
            partition.write(partition.admit(entries[first : first + 10]))
            partition.roll_over_if_due()
        cpu += time.process_time() - began
        wall += time.perf_counter() - began_wall
    return {"million": number + 1, "cpu_us_per_event": cpu, "events_per_second": 1e6 / wall}


def entry_of(frame: Frame) -> Entry:
    """The frame as it is read from a stream."""
    fields = frame.fields().items()
    return Entry(
        f"{frame.seq}-0",
        {key.encode(): value if isinstance(value, bytes) else str(value).encode() for key, value in fields},
    )
