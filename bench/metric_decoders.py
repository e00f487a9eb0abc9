"""What reading metrics costs by way in: CPU us a point for the decoder, for sealing it into frames, and for the drain.

python -m bench.metric_decoders                 20,000 points of 1,000 series, each way's best of five
python -m bench.metric_decoders --points 100000
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from bench.bare import entry_of
from bench.machine import describe
from monitoring.api.intake import parse
from monitoring.pipeline.bus.frame import seal
from monitoring.pipeline.events.lenient import Defaults
from monitoring.pipeline.events.signals import METRICS
from monitoring.pipeline.ingest import otlp_metrics, remote_write
from monitoring.pipeline.ingest.intake import Intake
from monitoring.pipeline.ingest.metric_items import delta_from_json_line
from monitoring.pipeline.publish.packing import pack
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.metrics import SqliteMetricStore
from monitoring.pipeline.store.partition import Limits

__all__ = ["main"]

SECOND = 10**9
NOW = 1_790_000_000 * SECOND
DEFAULTS = Defaults(received_ns=NOW, fallback_service="bench")
SERIES = 1000
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ROUNDS = 5

Read = Callable[[bytes], Intake]


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=20_000)
    points = parser.parse_args().points
    print(describe())
    print(f"{'way':32} {'bytes a point':>14} {'decode us':>10} {'seal us':>8} {'drain us':>9}")
    for name, (body, read) in ways(points).items():
        found = measured(body, read)
        print(f"{name:32} {len(body) / points:14.1f} {found[0]:10.2f} {found[1]:8.2f} {found[2]:9.2f}", flush=True)


def ways(points: int) -> dict[str, tuple[bytes, Read]]:
    """Bodies with so many points, and what reads them."""
    most = 10 * points

    def of_json(body: bytes) -> Intake:
        return parse(body, DEFAULTS, "bench", most, read=delta_from_json_line)

    def proto(body: bytes) -> Intake:
        return otlp_metrics.read_proto(body, DEFAULTS, "bench", most)

    def otlp_json(body: bytes) -> Intake:
        return otlp_metrics.read_json(body, DEFAULTS, "bench", most)

    def samples(body: bytes) -> Intake:
        return remote_write.read(remote_write.decompressed(body, 1 << 30), DEFAULTS, "bench", most)

    sums, histograms, exponential = (otlp(points, kind) for kind in ("sum", "histogram", "exponential_histogram"))
    return {
        "POST /api/v1/metrics, counters": (items(points), of_json),
        "OTLP protobuf, cumulative sums": (sums.SerializeToString(), proto),
        "OTLP protobuf, histograms": (histograms.SerializeToString(), proto),
        "OTLP protobuf, exponential": (exponential.SerializeToString(), proto),
        "OTLP JSON, cumulative sums": (json.dumps(json_format.MessageToDict(sums)).encode(), otlp_json),
        "remote write": (written(points), samples),
    }


def measured(body: bytes, read: Read) -> tuple[float, float, float]:
    """CPU us a point: decoding, sealing, draining; the best of some rounds each."""
    decoding, sealing, draining = [], [], []
    for _ in range(_ROUNDS):
        began = time.process_time()
        intake = read(body)
        decoded = time.process_time()
        packing = pack(intake.events, max_text_bytes=1 << 20, signal=METRICS)
        sealed = time.process_time()
        if intake.rejected or packing.dropped:
            raise RuntimeError(f"rejected: {intake.rejected[:1]} {packing.dropped}")
        points = len(intake.events)
        decoding.append((decoded - began) * 1e6 / points)
        sealing.append((sealed - decoded) * 1e6 / points)
        draining.append(drained(packing.frames) * 1e6 / points)
    return min(decoding), min(sealing), min(draining)


def drained(packed: list[Any]) -> float:
    """CPU seconds of understanding and committing these payloads in one transaction."""
    frames, emitted = [], 0
    for number, one in enumerate(packed, 1):
        emitted += one.events
        frames.append(
            seal(lane="0" * 32, seq=number, released_below=1, signal="metrics", count=one.events, created=NOW,
                 counters={"emitted": emitted, "dropped": {}}, payload=one.payload)
        )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        data = Path(directory)
        Catalog.create_or_open(data / CATALOG_FILE, partitions=1).close()
        with contextlib.closing(
            SqliteMetricStore(data, Limits(1 << 60, 1 << 50, 1e12, 0), now_ns=lambda: NOW)
        ) as store:
            partition = store.acquire(0, Holder.this_process())
            if partition is None:
                raise RuntimeError("a new partition has no holder")
            entries = [entry_of(frame) for frame in frames]
            began = time.process_time()
            batch = partition.admit(entries)
            partition.write(batch)
            took = time.process_time() - began
            if batch.letters:
                raise RuntimeError(f"dead letters: {batch.letters[0].reason}")
            partition.release()
    return took


def _labels(number: int) -> dict[str, str]:
    return {"route": f"/api/v1/things/{number % 50}", "method": "GET", "code": str(200 + number % 20)}


def items(points: int) -> bytes:
    """Increments as plain JSON."""
    return orjson.dumps(
        [
            {"name": "http_requests_total", "kind": "counter", "value": number % 7, "labels": _labels(number % SERIES),
             "timestamp": (NOW + number * 1000) // 10**6 / 1000}
            for number in range(points)
        ]
    )  # fmt: skip


def otlp(points: int, kind: str) -> Any:
    """A request with points of one metric, ten seconds between those of a series."""
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    metric = resource.scope_metrics.add().metrics.add(name="http.server.duration", unit="s")
    data = getattr(metric, kind)
    data.aggregation_temporality = 2
    if kind == "sum":
        data.is_monotonic = True
    for number in range(points):
        turn = number // SERIES + 1
        point = data.data_points.add(
            start_time_unix_nano=NOW - 1800 * SECOND, time_unix_nano=NOW - 1800 * SECOND + turn * 10 * SECOND
        )
        for name, value in _labels(number % SERIES).items():
            point.attributes.add(key=name).value.string_value = value
        point.attributes.add(key="series").value.int_value = number % SERIES
        if kind == "sum":
            point.as_int = turn * 3
        elif kind == "histogram":
            point.count, point.sum = turn * 3, turn * 0.5
            point.explicit_bounds.extend(BOUNDS)
            point.bucket_counts.extend([0, 0, turn, 0, turn, turn, 0, 0, 0, 0, 0, 0])
        else:
            point.count, point.sum, point.scale = turn * 40, turn * 0.5, 3
            point.positive.offset = -40
            point.positive.bucket_counts.extend([turn] * 40)
    return request


def written(points: int) -> bytes:
    """A remote write of ten samples a series."""
    from cramjam import snappy

    request = remote_write.messages()["WriteRequest"]()
    for number in range(points // 10):
        series = request.timeseries.add()
        series.labels.add(name="__name__", value=f"http_requests_{number % 20}_total")
        for name, value in {**_labels(number), "instance": f"10.0.0.{number % 250}:9100", "job": "shop"}.items():
            series.labels.add(name=name, value=value)
        for turn in range(10):
            series.samples.add(value=number + turn / 3, timestamp=NOW // 10**6 - 150_000 + turn * 15_000)
    return bytes(snappy.compress_raw(request.SerializeToString()))


if __name__ == "__main__":
    main()
