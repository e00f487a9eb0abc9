"""POST /prometheus/api/v1/write: samples stay as they came; what Prometheus must not repeat is told as 4xx."""

from __future__ import annotations

import struct
import time
from typing import Any

import pytest
from cramjam import snappy
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.events.lenient import Defaults
from monitoring.pipeline.ingest.documents import Unreadable
from monitoring.pipeline.ingest.intake import Intake
from monitoring.pipeline.ingest.remote_write import messages, read
from monitoring.pipeline.store.verify import verify
from tests.api.test_metrics import series, stored
from tests.deltas import connections
from tests.instance import Instance

NOW = time.time_ns() // 10**6 + 3_600_000  # blocks that are over would be packed
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]


def write_request(*found: tuple[dict[str, str], list[tuple[float, int]]], metadata: Any = ()) -> bytes:
    """Series with their labels and samples, and (name, type, help)."""
    request = messages()["WriteRequest"]()
    for labels, samples in found:
        one = request.timeseries.add()
        for name, text in labels.items():
            one.labels.add(name=name, value=text)
        for value, timestamp in samples:
            one.samples.add(value=value, timestamp=timestamp)
    for family, kind, text in metadata:
        request.metadata.add(metric_family_name=family, type=kind, help=text)
    return bytes(request.SerializeToString())


def post(instance: Instance, body: bytes, **headers: str) -> Any:
    headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf", **headers}
    return instance.call("POST", "/prometheus/api/v1/write", "ingest", data=body, headers=headers)


def rows(instance: Instance, query: str) -> list[tuple[Any, ...]]:
    return [row for connection in connections(instance.data) for row in connection.execute(query)]


def packed(body: bytes) -> bytes:
    return bytes(snappy.compress_raw(body))


def test_samples_stale_markers_and_metadata_are_stored_as_they_came(instance: Instance) -> None:
    up = {"__name__": "up", "instance": "a:1", "job": "j"}
    body = packed(
        write_request(
            (up, [(1.0, NOW - 3000), (0.1, NOW - 2000), (float("nan"), NOW - 1000), (STALE, NOW)]),
            ({"__name__": "x_bucket", "le": "+Inf", "empty": ""}, [(float("-inf"), NOW)]),
            metadata=[("up", 2, "Whether."), ("x", 3, "A histogram."), ("odd", 6, "An info.")],
        )
    )
    assert (post(instance, body).status_code, post(instance, body).data) == (204, b"")
    with instance.draining():
        stored(instance, 2 * 8)
    samples = f"SELECT name, at - {NOW}, value FROM sample JOIN series ON series.id = series"
    samples += " JOIN family ON family.id = family"
    assert rows(instance, f"{samples} ORDER BY name, at") == [
        ("up", -3000, 1.0),
        ("up", -2000, 0.1),
        ("up", -1000, None),
        ("up", 0, "stale"),
        ("x_bucket", 0, float("-inf")),
    ]
    assert series(instance) == {"up": [{"instance": "a:1", "job": "j"}], "x_bucket": [{"le": "+Inf"}]}
    assert rows(instance, "SELECT name, type, help FROM family ORDER BY name") == [
        ("odd", "unknown", "An info."),
        ("up", "gauge", "Whether."),
        ("x", "histogram", "A histogram."),
        ("x_bucket", "", ""),
    ]
    assert verify(instance.catalog).findings == []


def test_what_makes_no_sense_is_answered_400_and_kept_and_the_rest_is_stored(instance: Instance) -> None:
    body = write_request(
        ({"__name__": "good"}, [(1, NOW)]),
        ({"no": "name"}, [(1, NOW)]),
        ({"__name__": "tomorrow"}, [(1, NOW + 2 * 86_400_000)]),
    )
    answer = post(instance, packed(body))
    assert (
        answer.status_code == 400
        and "2 series were rejected" in answer.text
        and "series 2: None cannot name" in answer.text
    )
    with instance.draining():
        stored(instance, 1)
        assert instance.get("/api/v1/dead-letters")["total"] == 2
    assert list(series(instance)) == ["good"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\xff\xff\xff\xff\x0f", {}, 413),
        (packed(b"\0" * (40 << 20)), {}, 413),
        (b"\xff" * 10, {}, 400),
        (packed(b"\xff"), {}, 400),
        (packed(b"x" * 100)[:5], {}, 400),
        (b"", {"Content-Encoding": "gzip"}, 415),
        (b"", {"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}, 415),
        (b"", {}, 204),
        (b"\0", {}, 204),
    ],
)
def test_bombs_and_what_is_no_remote_write_are_refused(
    instance: Instance, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = post(instance, body, **headers)
    assert answer.status_code == status, answer.text


def test_an_idempotency_key_is_honoured(instance: Instance) -> None:
    body = packed(write_request(({"__name__": "up"}, [(1, NOW)]), ({"no": "name"}, [])))
    for before in (None, "true"):
        answer = post(instance, body, **{"Idempotency-Key": "k"})
        assert (answer.status_code, answer.headers.get("Idempotent-Replayed")) == (400, before)


@given(st.binary(max_size=60))
def test_bytes_that_are_no_request_are_refused(body: bytes) -> None:
    try:
        found = read(body, Defaults(received_ns=NOW * 10**6), "s", 100)
    except Unreadable:
        return
    assert isinstance(found, Intake)
