"""OTLP's metrics as deltas: each kind of point, names as Prometheus has them, nothing that breaks the reader."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson
import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from monitoring.pipeline.events.lenient import Defaults
from monitoring.pipeline.ingest.documents import Unreadable
from monitoring.pipeline.ingest.exponential import BOUNDS, fixed_counts
from monitoring.pipeline.ingest.intake import Intake, TooMuch
from monitoring.pipeline.ingest.naming import label_names, metric_name
from monitoring.pipeline.ingest.otlp_metrics import read_json, read_proto
from monitoring.pipeline.store.deltas import read_family, read_labels, read_value

NOW = 1_790_000_000_000_000_000
DEFAULTS = Defaults(received_ns=NOW, fallback_service="key")
TIMES = {"timeUnixNano": str(NOW - 10**9), "startTimeUnixNano": str(NOW - 61 * 10**9)}
CUMULATIVE, DELTA = 2, 1


def attributes(**found: Any) -> list[dict[str, Any]]:
    return [{"key": key.replace("__", "."), "value": value} for key, value in found.items()]


def request(metric: dict[str, Any], resource: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "resourceMetrics": [
            {"resource": {"attributes": resource or []}, "scopeMetrics": [{"scope": {}, "metrics": [metric]}]}
        ]
    }


def read(metric: dict[str, Any], resource: list[dict[str, Any]] | None = None) -> Intake:
    """Of both encodings, which say the same."""
    body = request(metric, resource)
    message = json_format.ParseDict(body, ExportMetricsServiceRequest())
    found = read_json(orjson.dumps(body), DEFAULTS, "http:key", 100)
    assert read_proto(message.SerializeToString(), DEFAULTS, "http:key", 100) == found
    return found


def values(intake: Intake) -> list[Any]:
    return [orjson.loads(delta.value) for delta in intake.events]


def test_a_cumulative_sum_says_since_when_and_of_which_process() -> None:
    point = {
        "asInt": "17",
        "attributes": attributes(http__route={"stringValue": "/x"}, ok={"boolValue": True}),
        **TIMES,
    }
    metric = {"name": "orders.total", "description": "Orders.", "sum": {
        "isMonotonic": True, "aggregationTemporality": CUMULATIVE, "dataPoints": [point],
    }}  # fmt: skip
    resource = attributes(service__name={"stringValue": "shop"}, process__pid={"intValue": "42"})
    (delta,) = read(metric, resource).events
    assert (delta.timestamp, delta.window, delta.service, delta.labels) == (
        NOW - 10**9, 0, "shop", '{"http_route":"/x","ok":"true"}',
    )  # fmt: skip
    assert orjson.loads(delta.family) == {"name": "orders", "kind": "counter", "cumulative": True, "help": "Orders."}
    value = orjson.loads(delta.value)
    assert (value["start"], value["value"]) == (NOW - 61 * 10**9, 17)
    (other,) = read(metric, attributes(service__name={"stringValue": "shop"}, process__pid={"intValue": "43"})).events
    assert orjson.loads(other.value)["stream"] != value["stream"] and other.labels == delta.labels


def test_a_delta_lasts_since_its_start_and_a_sum_that_falls_is_a_gauge() -> None:
    point = {"asDouble": 2.5, **TIMES}
    metric = {"name": "x", "sum": {"isMonotonic": True, "aggregationTemporality": DELTA, "dataPoints": [point]}}
    (delta,) = read(metric).events
    assert (delta.window, delta.value) == (60 * 10**9, "2.5")
    metric["sum"] = {"aggregationTemporality": CUMULATIVE, "dataPoints": [point]}
    (delta,) = read(metric).events
    assert read_family(delta.family).kind == "gauge" and delta.value == "2.5"
    metric["sum"] = {"aggregationTemporality": DELTA, "dataPoints": [point]}
    assert "cumulative" in read(metric).rejected[0].reason


def test_histograms_keep_their_bounds_and_exponential_ones_get_ours() -> None:
    point = {"count": "6", "sum": 9.5, "bucketCounts": ["1", "0", "5"], "explicitBounds": [1, 2.5], **TIMES}
    whole = {"aggregationTemporality": CUMULATIVE, "dataPoints": [point]}
    (delta,) = read({"name": "d", "unit": "ms", "histogram": whole}).events
    assert read_family(delta.family).bounds == (1, 2.5) and read_family(delta.family).name == "d_milliseconds"
    assert {name: part for name, part in orjson.loads(delta.value).items() if name in ("sum", "counts")} == {
        "sum": 9.5, "counts": [1, 0, 5],
    }  # fmt: skip
    point = {"count": "7", "sum": 5, "scale": 3, "zeroCount": "2", "positive": {"offset": 8, "bucketCounts": ["4"]},
             "negative": {"offset": 0, "bucketCounts": ["1"]}, **TIMES}  # fmt: skip
    (delta,) = read({"name": "d", "exponentialHistogram": {**whole, "dataPoints": [point]}}).events
    counts = orjson.loads(delta.value)["counts"]
    assert read_family(delta.family).bounds == BOUNDS and (counts[0], sum(counts)) == (3, 7)
    assert counts[BOUNDS.index(2.0**1.5)] == 4, "its bucket is (2, 2.18]"


def test_a_summary_becomes_samples_with_all_their_labels() -> None:
    point = {"count": "3", "sum": 1.5, "quantileValues": [{"quantile": 0.5, "value": 0.25}, {"quantile": 1}], **TIMES}
    resource = attributes(service__name={"stringValue": "shop"}, service__instance__id={"stringValue": "i"})
    found = read({"name": "lag", "unit": "s", "summary": {"dataPoints": [point]}}, resource).events
    assert [(read_family(delta.family).name, orjson.loads(delta.labels), delta.value) for delta in found] == [
        ("lag_seconds", {"instance": "i", "quantile": "0.5", "service": "shop"}, "0.25"),
        ("lag_seconds", {"instance": "i", "quantile": "1", "service": "shop"}, "0.0"),
        ("lag_seconds_sum", {"instance": "i", "service": "shop"}, "1.5"),
        ("lag_seconds_count", {"instance": "i", "service": "shop"}, "3.0"),
    ]
    assert {delta.service for delta in found} == {""} and read_family(found[0].family).type == "summary"


def test_a_point_without_a_recorded_value_is_a_gap_and_no_error() -> None:
    assert read({"name": "x", "gauge": {"dataPoints": [{"flags": 1, **TIMES}]}}) == Intake([], [])


def test_more_points_than_are_taken_at_once_are_refused_whole() -> None:
    body = orjson.dumps(request({"name": "x", "gauge": {"dataPoints": [{"asInt": "1"}] * 101}}))
    with pytest.raises(TooMuch):
        read_json(body, DEFAULTS, "s", 100)


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("http.server.duration", "ms", "histogram", "http_server_duration_milliseconds"),
        ("system.network.io", "By/s", "gauge", "system_network_io_bytes_per_second"),
        ("system.memory.bytes", "By", "gauge", "system_memory_bytes"),
        ("requests", "{request}", "counter", "requests"),
        ("requests_total", "1", "counter", "requests"),
        ("cpu.utilization", "1", "gauge", "cpu_utilization_ratio"),
        ("2xx--codes", "", "gauge", "_2xx_codes"),
        ("ns:rule", "", "gauge", "ns:rule"),
        ("disk.full_total", "%", "gauge", "disk_full_total_percent"),
        ("größe", "", "gauge", "gr_e"),
        ("☃", "", "gauge", ""),
    ],
)  # fmt: skip
def test_names_are_those_of_prometheus(name: str, unit: str, kind: str, expected: str) -> None:
    assert metric_name(name, unit, kind) == expected


def test_labels_that_come_to_have_one_name_keep_both_values() -> None:
    assert label_names([("a.b", "2"), ("a_b", "1"), ("9", "x"), ("_y", "z")]) == {
        "a_b": "2;1", "key_9": "x", "key_y": "z",
    }  # fmt: skip


@given(st.integers(-4, 20), st.floats(1e-5, 1e11))
def test_a_value_counts_in_the_bucket_that_prometheus_would_put_it_in(scale: int, value: float) -> None:
    """Where the given scale is fine enough; a coarser one counts higher, never lower."""
    index = math.ceil(math.log2(value) * 2.0**scale) - 1
    found = fixed_counts(scale, index, [1], 0).index(1)
    exact = next(place for place, bound in enumerate(BOUNDS) if value <= bound)
    assert found >= exact - 1 and (scale < 1 or found <= exact + 1)


def test_what_is_outside_of_all_bounds_counts_at_their_ends() -> None:
    assert fixed_counts(0, -1000, [1], 0)[1] == 1 and fixed_counts(0, 1000, [1], 0)[-1] == 1
    with pytest.raises(ValueError, match="scale"):
        fixed_counts(1000, 0, [1], 0)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
whole = st.integers(-(2**31), 2**31 - 1)
unsigned = st.integers(0, 2**64 - 1).map(str)
few = st.integers(0, 9)
points = st.fixed_dictionaries(
    {},
    optional={
        "asInt": st.integers(-(2**63), 2**63 - 1).map(str),
        "asDouble": st.floats() | st.just("NaN"),
        "count": few,
        "sum": st.floats(),
        "bucketCounts": st.lists(unsigned, max_size=3),
        "explicitBounds": st.lists(st.floats(), max_size=2),
        "timeUnixNano": unsigned,
        "startTimeUnixNano": unsigned,
        "scale": whole,
        "zeroCount": few,
        "positive": st.fixed_dictionaries({"offset": whole, "bucketCounts": st.lists(few, max_size=3)}),
        "attributes": st.lists(
            st.fixed_dictionaries({"key": st.text(max_size=4), "value": st.sampled_from([{}, {"stringValue": "v"}])})
        ),
        "quantileValues": st.lists(st.fixed_dictionaries({"quantile": st.floats(), "value": st.floats()}), max_size=2),
    },
)


@given(
    st.sampled_from(["sum", "gauge", "histogram", "exponentialHistogram", "summary"]), st.lists(points, max_size=3),
    st.integers(0, 3), st.booleans(), st.text(max_size=6), st.text(max_size=3),
)  # fmt: skip
def test_whatever_a_point_says_it_is_a_delta_that_the_drain_understands_or_rejected(
    kind: str, given_points: list[Any], temporality: int, rises: bool, name: str, unit: str
) -> None:
    data = {"dataPoints": given_points, "aggregationTemporality": temporality, "isMonotonic": rises}
    body = json.dumps(request({"name": name, "unit": unit, kind: data})).encode("utf-8", "replace")
    try:
        found = read_json(body, DEFAULTS, "s", 100)
    except Unreadable:
        return
    for delta in found.events:
        read_value(read_family(delta.family), delta.value)
        read_labels(delta.labels)
        assert 0 <= delta.timestamp <= DEFAULTS.latest_ns and 0 <= delta.window < 2**63


@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_bytes_that_are_no_request_are_refused(body: bytes) -> None:
    for read_body in (read_proto, read_json):
        try:
            found = read_body(body, DEFAULTS, "s", 100)
        except Unreadable:
            continue
        assert isinstance(found, Intake)
