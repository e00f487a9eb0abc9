"""Points of metrics for benchmarks: days of them, in packed rows as the drain makes them, without the drain.

A quarter of the series are gauges that wander, the rest counters; one in ten of those stands still for most windows.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import apsw
import numpy as np
import orjson

from bench.bare import entry_of
from monitoring.pipeline.bus.frame import encode_payload, seal
from monitoring.pipeline.events.delta import Delta, family_text
from monitoring.pipeline.events.signals import METRICS
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.metric_codec import Codec, Packed
from monitoring.pipeline.store.metric_pack import PACK, PACKED_SCHEMA, packed_id, packed_totals
from monitoring.pipeline.store.metrics import SqliteMetricStore
from monitoring.pipeline.store.partition import Limits
from monitoring.pipeline.store.rows import id_floor

__all__ = ["FIRST_BLOCK", "WINDOW_S", "day", "labels_of", "open_new"]

WINDOW_S = 10
FIRST_BLOCK = 124_000
"""In 2026. Days begin here: six blocks of four hours each."""
_WINDOW_NS = WINDOW_S * 10**9
_FAMILIES = (
    family_text(name="bench_requests", kind="counter", help="Requests that were answered."),
    family_text(name="bench_memory", kind="gauge", across="sum", unit="bytes"),
)


def open_new(data: Path) -> SqliteMetricStore:
    """An empty store."""
    data.mkdir(parents=True, exist_ok=True)
    Catalog.create_or_open(data / CATALOG_FILE, partitions=1).close()
    return SqliteMetricStore(data, Limits(1 << 60, 1 << 50, 1e12, 0))


def labels_of(number: int) -> dict[str, str]:
    """The labels of a series: of a thousand each has a `panel` of its own."""
    return {
        "panel": str(number // 1000), "route": f"/api/v1/things/{number // 5}", "status": str(200 + number % 5),
    }  # fmt: skip


def day(
    store: SqliteMetricStore, nth: int, series: int, blocks: int = 6, *, roll_over: bool = True, ends: int | None = None
) -> None:
    """Write the blocks of one day into a segment and seal it; `ends` is the window behind its last one."""
    writer = store.acquire(0, Holder.this_process())
    if writer is None:
        raise RuntimeError("a new partition has no holder")
    first = FIRST_BLOCK + nth * 6 if ends is None else (ends - 1) // PACK - blocks + 1
    ends = (first + blocks) * PACK if ends is None else ends
    start, end = first * PACK * _WINDOW_NS, ends * _WINDOW_NS
    rows = [
        Delta(end, _WINDOW_NS, "api", "production", "1.4.2", "web-1", _FAMILIES[number % 4 == 3],
              orjson.dumps(labels_of(number), option=orjson.OPT_SORT_KEYS).decode(), "0")
        for number in range(series)
    ]  # fmt: skip
    lane = f"{nth + 1:032x}"
    for place in range(0, series, 1000):
        part = rows[place : place + 1000]
        now = time.time_ns()
        frame = seal(
            lane=lane, seq=place // 1000 + 1, released_below=1, signal="metrics", count=len(part), created=now,
            counters={"emitted": place + len(part), "dropped": {}}, payload=encode_payload(part, signal=METRICS),
        )  # fmt: skip
        writer.write(writer.admit([entry_of(frame)]))
    connection = writer.segment.connection
    connection.execute("BEGIN")
    connection.execute(PACKED_SCHEMA)
    connection.execute("DELETE FROM increment")
    connection.execute("DELETE FROM gauge")
    _pack(connection, first, ends)
    connection.execute("UPDATE head SET min_id = ?, max_id = ?", (id_floor(start), id_floor(end) - 1))
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    if roll_over:
        writer.roll_over()
    writer.release()


def _pack(connection: apsw.Connection, first: int, ends: int) -> None:
    chance, codec = np.random.default_rng(first), Codec()
    kinds = list(connection.execute("SELECT series.id, kind FROM series JOIN family ON family = family.id"))
    for block in range(first, -(-ends // PACK)):
        count, rows = min(PACK, ends - block * PACK), []
        places = np.arange(count)
        for number, kind in kinds:
            if kind == "counter":
                columns = [chance.poisson(0.2 if number % 10 == 0 else 40, (1, count))]
            else:
                said = np.cumsum(chance.integers(-4096, 4096, (1, count)), axis=1) + 10**9
                columns = [said, chance.integers(10**6, 9 * 10**6, (1, count)) // 10**6 * 10**6]
            packed = Packed(places, columns)
            rows.append((packed_id(block, number, kind == "gauge"), packed_totals(packed, kind), codec.encode(packed)))
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.executemany("INSERT INTO packed VALUES(?, ?, ?)", rows)
