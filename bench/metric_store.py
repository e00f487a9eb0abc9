"""What storing metrics costs: CPU a delta, disk a point and writes a point, and the time of a query, by size of block.

python -m bench.metric_store                             1,000 series for 2 hours, one row a size of block
python -m bench.metric_store --series 10000 --hours 0.5
"""

from __future__ import annotations

import argparse
import contextlib
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import orjson

from bench.bare import entry_of
from bench.machine import describe
from monitoring.pipeline.bus.frame import Frame, encode_payload, seal
from monitoring.pipeline.events.delta import Delta, family_text
from monitoring.pipeline.events.signals import METRICS
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.matchers import Matcher
from monitoring.pipeline.store.metrics import SqliteMetricStore
from monitoring.pipeline.store.partition import Limits

__all__ = ["main", "run"]

_BLOCKS = (1, 30, 8640)
_FRAME = 500
_BATCH = 10_000
_SECOND = 10**9
_ORIGIN = ("api", "production", "1.4.2", "web-1")
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_KINDS = {
    "counter": family_text(name="requests", kind="counter", help="Requests that were answered."),
    "histogram": family_text(name="request_seconds", kind="histogram", unit="seconds", bounds=_BOUNDS),
    "gauge": family_text(name="jobs_waiting", kind="gauge", across="sum"),
}


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=1000, help="60 %% counters, 25 %% histograms, 15 %% gauges")
    parser.add_argument("--hours", type=float, default=2.0)
    options = parser.parse_args()
    print(describe())
    for block in _BLOCKS:
        found = run(options.series, options.hours, block)
        print("  ".join(f"{name} {value:,.1f}" for name, value in found.items()), flush=True)


def run(series: int, hours: float, block: int) -> dict[str, float]:
    """Write so many series for so long with blocks of this size, and read some back."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        mock.patch("monitoring.pipeline.store.metric_segment.BLOCK", block),
        mock.patch("monitoring.pipeline.store.metric_points.BLOCK", block),
    ):
        data = Path(directory)
        Catalog.create_or_open(data / CATALOG_FILE, partitions=1).close()
        with contextlib.closing(SqliteMetricStore(data, Limits(1 << 60, 1 << 50, 1e12, 0))) as store:
            found = {"block": float(block), **_written(store, data, series, hours)}
            return {**found, **_read(store)}


def _written(store: SqliteMetricStore, data: Path, series: int, hours: float) -> dict[str, float]:
    partition = store.acquire(0, Holder.this_process())
    if partition is None:
        raise RuntimeError("a new partition has no holder")
    cpu = wall = deltas = 0.0
    wrote = _blocks_written()
    for frames in _rounds(series, round(hours * 360)):
        began, started = time.process_time(), time.perf_counter()
        most = max(1, _BATCH // _FRAME)
        for first in range(0, len(frames), most):
            partition.write(partition.admit([entry_of(frame) for frame in frames[first : first + most]]))
        cpu, wall = cpu + time.process_time() - began, wall + time.perf_counter() - started
        deltas += sum(frame.count for frame in frames)
    wrote = _blocks_written() - wrote
    if partition.segment.head().rows != deltas:
        raise RuntimeError("not all deltas were stored")
    partition.roll_over()
    partition.release()
    size = (data / "metrics" / "p0" / "000001.db").stat().st_size
    return {
        "points": deltas,
        "points_per_second": deltas / wall,
        "cpu_us_a_delta": cpu / deltas * 1e6,
        "bytes_a_point": size / deltas,
        "written_bytes_a_point": wrote * 512 / deltas,
    }


def _blocks_written() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_oublock


def _read(store: SqliteMetricStore) -> dict[str, float]:
    found = {}
    one = [Matcher("route", "=", "/api/v1/things/7"), Matcher("status", "=", "200")]
    for name, matchers in (("all", []), ("one", one)):
        began = time.perf_counter()
        points = store.points("requests", matchers, 0, 1 << 62)
        seconds = time.perf_counter() - began
        number = sum(map(len, points.values()))
        del points  # it would else be taken apart within the next measurement
        found |= {f"{name}_points": float(number), f"{name}_ms": seconds * 1e3}
    return found


def _rounds(series: int, rounds: int) -> Iterator[list[Frame]]:
    """The frames of each round of 10 s: every series changes."""
    chance = random.Random(1)
    kinds = ["counter"] * (series * 60 // 100) + ["histogram"] * (series * 25 // 100)
    kinds += ["gauge"] * (series - len(kinds))
    labels = [
        orjson.dumps({"method": "GET", "route": f"/api/v1/things/{number // 5}", "status": str(200 + number % 5)})
        for number in range(series)
    ]
    start, sent = time.time_ns() // (10 * _SECOND) * 10 * _SECOND - rounds * 10 * _SECOND, 0
    for turn in range(rounds):
        at = start + turn * 10 * _SECOND + 3_000_000
        rows = [
            Delta(
                at,
                10 * _SECOND,
                "api",
                "production",
                "1.4.2",
                "web-1",
                _KINDS[kind],
                text.decode(),
                _value(kind, chance),
            )
            for kind, text in zip(kinds, labels, strict=True)
        ]
        frames = []
        for first in range(0, series, _FRAME):
            part = rows[first : first + _FRAME]
            seq, sent = (turn * -(-series // _FRAME)) + first // _FRAME + 1, sent + len(part)
            frames.append(
                seal(
                    lane=f"{1:032x}", seq=seq, released_below=max(1, seq - 100), signal="metrics", count=len(part),
                    created=at, counters={"emitted": sent, "dropped": {}},
                    payload=encode_payload(part, signal=METRICS),
                )
            )  # fmt: skip
        yield frames


def _value(kind: str, chance: random.Random) -> str:
    if kind == "counter":
        return str(chance.randrange(1, 500))
    if kind == "gauge":
        return repr(chance.random() * 100)
    counts = [0] * (len(_BOUNDS) + 1)
    for _ in range(chance.randrange(1, 50)):
        counts[min(int(chance.lognormvariate(1, 0.5)), len(_BOUNDS))] += 1
    return orjson.dumps({"sum": chance.random() * 30, "counts": counts}).decode()


if __name__ == "__main__":
    main()
