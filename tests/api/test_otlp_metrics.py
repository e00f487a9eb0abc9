"""POST /v1/metrics: what OpenTelemetry's own SDK counts is what the store has, in both temporalities."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from werkzeug.serving import make_server

from monitoring.pipeline.store.verify import verify
from tests.api.test_metrics import series, stored
from tests.deltas import totals
from tests.instance import Instance


@pytest.fixture
def endpoint(instance: Instance) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, instance.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/metrics"
    server.shutdown()
    thread.join()
    server.server_close()


class Process:
    """A program with the SDK of OpenTelemetry: a provider that exports when it is told to."""

    def __init__(self, instance: Instance, endpoint: str, temporality: AggregationTemporality) -> None:
        exporter = OTLPMetricExporter(
            endpoint=endpoint,
            headers={"Authorization": f"Bearer {instance.keys['ingest']}"},
            compression=Compression.Gzip,
            preferred_temporality={Counter: temporality, Histogram: temporality, ObservableCounter: temporality},
        )
        self.provider = MeterProvider(
            [PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))],
            resource=Resource({"service.name": "shop", "host.name": "h1", "service.instance.id": "i1"}),
            views=[View(instrument_name="fine", aggregation=ExponentialBucketHistogramAggregation())],
        )
        meter = self.provider.get_meter("shop.cart", "1.0")
        self.orders = meter.create_counter("shop.orders", "{order}", "Orders.")
        self.seconds = meter.create_histogram("http.server.duration", "ms")
        self.fine = meter.create_histogram("fine", "s")
        self.waiting = meter.create_up_down_counter("jobs.waiting")
        self.depth = meter.create_gauge("depth", "1")


@pytest.mark.parametrize("temporality", [AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA])
def test_what_the_sdk_of_opentelemetry_counts_arrives_to_the_unit(
    instance: Instance, endpoint: str, temporality: AggregationTemporality
) -> None:
    with instance.draining():
        for _ in range(2):  # two processes of the same name, one after the other
            process = Process(instance, endpoint, temporality)
            for number in range(3):
                process.orders.add(5, {"channel.name": "web"})
                process.orders.add(number)
                process.seconds.record(12, {"route": "/x"})
                process.fine.record(0.25)
                process.fine.record(0)
                process.waiting.add(1)
                process.depth.set(0.5)
                assert process.provider.force_flush()
            process.provider.shutdown()
        stored(instance, 6 * 6)
    assert totals(instance.data) == {
        "shop_orders": 2 * (15 + 3),
        "http_server_duration_milliseconds_sum": 72,
        "http_server_duration_milliseconds_count": 6,
        "fine_seconds_sum": 1.5,
        "fine_seconds_count": 12,
    }
    mine = {"host": "h1", "service": "shop"}
    assert series(instance) == {
        "depth_ratio": [{"instance": "i1", **mine}],
        "fine_seconds": [mine],
        "http_server_duration_milliseconds": [{**mine, "route": "/x"}],
        "jobs_waiting": [{"instance": "i1", **mine}],
        "shop_orders": [{"channel_name": "web", **mine}, mine],
    }
    assert verify(instance.catalog).findings == []


def request(*points: dict[str, Any], kind: str = "gauge", **members: Any) -> dict[str, Any]:
    metric = {"name": "x", kind: {"dataPoints": list(points), **members}}
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}


def test_points_that_make_no_sense_are_told_as_partial_success_and_kept(instance: Instance) -> None:
    body = request({"asDouble": "NaN"}, {"asInt": "7", "timeUnixNano": "1764000060000000000", "unknown": 1}, {})
    answer = instance.call("POST", "/v1/metrics", "ingest", json=body)
    assert answer.status_code == 200 and answer.mimetype == "application/json" and answer.json is not None
    assert answer.json["partialSuccess"]["rejectedDataPoints"] == "2"
    assert "point 1: nan is no number" in answer.json["partialSuccess"]["errorMessage"]
    with instance.draining():
        stored(instance, 1)
        letters = instance.get("/api/v1/dead-letters")["dead_letters"]
    assert [letter["line"] for letter in sorted(letters, key=lambda letter: letter["line"])] == [1, 3]
    assert '"metric":"x"' in letters[0]["raw"]


def test_the_answer_has_the_type_of_the_question(instance: Instance) -> None:
    def ask(data: bytes, mimetype: str) -> Any:
        return instance.call("POST", "/v1/metrics", "ingest", data=data, content_type=mimetype)

    assert ask(b"{}", "application/json").json == {}
    answer = ask(b"", "application/x-protobuf")
    assert (answer.status_code, answer.mimetype) == (200, "application/x-protobuf")
    assert not ExportMetricsServiceResponse.FromString(answer.data).HasField("partial_success")
    assert ask(b"", "text/plain").status_code == 415
    assert (ask(b"[", "application/json").status_code, ask(b"\xff", "application/x-protobuf").status_code) == (400, 400)
    assert ask(b'{"resourceMetrics": 1}', "application/json").status_code == 400
