"""Mutated bodies over all parsers: each is read or refused, never an error of ours, and what is read can be stored.

The short form is part of every run; MUTATIONS=1000000 says how many the long form tries in all.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import random
import zlib
from collections.abc import Callable

import cramjam
import orjson
import pytest
import zstandard
from google.protobuf.json_format import MessageToJson
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from monitoring.api.body import read_body
from monitoring.api.intake import parse
from monitoring.api.problems import Problem
from monitoring.api.snappy import unsnapped
from monitoring.pipeline.errors import IngestRefused, QuerySyntaxError
from monitoring.pipeline.events.defaults import Defaults
from monitoring.pipeline.events.delta import Delta
from monitoring.pipeline.events.event import MAX_EVENT_BYTES
from monitoring.pipeline.events.signals import LOGS, METRICS
from monitoring.pipeline.ingest import loki, otlp_logs, otlp_metrics, otlp_spans, remote_write
from monitoring.pipeline.ingest.intake import Intake
from monitoring.pipeline.ingest.metric_items import delta_from_json_line
from monitoring.pipeline.ingest.raw import read_lines
from monitoring.pipeline.ingest.syslog import Framer, read_messages
from monitoring.pipeline.publish.packing import pack
from monitoring.pipeline.query.parse import parse as parse_search
from monitoring.pipeline.query.promql.errors import PromqlError
from monitoring.pipeline.query.promql.parse import parse as parse_promql

NOW = 1_764_000_000 * 10**9
DEFAULTS = Defaults(received_ns=NOW, fallback_service="key")
LIMIT = 1 << 20
IDENTITY = bytes(range(16))


def _value(kind: str, content: object) -> dict[str, object]:
    return {"key": "a.b", "value": {kind: content}}


ATTRIBUTES = [
    _value("stringValue", "x\u20acy"),
    _value("intValue", "42"),
    _value("doubleValue", 1.5),
    _value("boolValue", True),
    _value("bytesValue", "AP8="),
    _value("arrayValue", {"values": [{"stringValue": "a"}, {"intValue": 1}]}),
    _value("kvlistValue", {"values": [_value("arrayValue", {"values": [{"kvlistValue": {"values": []}}]})]}),
]
RECORD = {
    "timeUnixNano": str(NOW),
    "severityNumber": 17,
    "severityText": "ERROR",
    "body": {"kvlistValue": {"values": [_value("stringValue", "z")]}},
    "attributes": ATTRIBUTES,
    "traceId": IDENTITY.hex(),
    "spanId": IDENTITY[:8].hex(),
}
SPAN = {
    "traceId": IDENTITY.hex(),
    "spanId": IDENTITY[:8].hex(),
    "name": "GET /",
    "kind": 2,
    "startTimeUnixNano": str(NOW),
    "endTimeUnixNano": str(NOW + 1),
    "attributes": ATTRIBUTES,
    "events": [{"timeUnixNano": str(NOW), "name": "exception", "attributes": ATTRIBUTES}],
    "links": [{"traceId": IDENTITY.hex(), "spanId": IDENTITY[:8].hex()}],
    "status": {"code": 2, "message": "no"},
}
RESOURCE = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}, *ATTRIBUTES]}
SCOPE = {"name": "s", "attributes": ATTRIBUTES}


def _logs_proto() -> bytes:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope = resource.scope_logs.add()
    scope.scope.name = "s"
    record = scope.log_records.add(time_unix_nano=NOW, severity_number=17, severity_text="ERROR", trace_id=IDENTITY)
    record.body.kvlist_value.values.add(key="message").value.string_value = "hello"
    record.attributes.add(key="n").value.int_value = 7
    record.attributes.add(key="l").value.array_value.values.add().double_value = 1.5
    record.attributes.add(key="exception.type").value.bytes_value = b"\x00"
    return bytes(request.SerializeToString())


def _spans_proto() -> bytes:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=IDENTITY, span_id=IDENTITY[:8], name="GET")
    span.start_time_unix_nano, span.end_time_unix_nano, span.kind = NOW, NOW + 5, 2
    span.events.add(name="exception").attributes.add(key="exception.type").value.string_value = "KeyError"
    span.links.add(trace_id=IDENTITY)
    span.status.code = 2
    return bytes(request.SerializeToString())


def _push_proto() -> bytes:
    request = loki.push_request()()
    stream = request.streams.add(labels='{app="shop", level="warn", x="a\\"b"}')
    entry = stream.entries.add(line='{"message":"hello","n":1}')
    entry.timestamp.seconds, entry.timestamp.nanos = NOW // 10**9, 5
    entry.metadata.add(name="trace_id", value=IDENTITY.hex())
    return bytes(request.SerializeToString())


def _metrics_proto() -> bytes:
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope = resource.scope_metrics.add()
    total = scope.metrics.add(name="a.total", unit="s", description="d")
    total.sum.aggregation_temporality, total.sum.is_monotonic = 1, True
    total.sum.data_points.add(time_unix_nano=NOW, as_int=7).attributes.add(key="k").value.string_value = "v"
    scope.metrics.add(name="g").gauge.data_points.add(time_unix_nano=NOW, as_double=1.5)
    spread = scope.metrics.add(name="h").histogram
    spread.aggregation_temporality = 1
    spread.data_points.add(time_unix_nano=NOW, count=3, sum=4.5, bucket_counts=[1, 2], explicit_bounds=[0.5])
    grown = scope.metrics.add(name="e").exponential_histogram
    grown.aggregation_temporality = 1
    grown.data_points.add(time_unix_nano=NOW, count=3, sum=4.5, scale=2, zero_count=1).positive.bucket_counts.extend(
        [1, 1]
    )
    scope.metrics.add(name="q").summary.data_points.add(time_unix_nano=NOW, count=2, sum=3).quantile_values.add(
        quantile=0.5
    )
    return bytes(request.SerializeToString())


def _samples_proto() -> bytes:
    request = remote_write.messages()["WriteRequest"]()
    series = request.timeseries.add()
    for name, text in (("__name__", "up"), ("job", "j"), ("le", "+Inf")):
        series.labels.add(name=name, value=text)
    series.samples.add(value=1.5, timestamp=NOW // 10**6)
    request.metadata.add(metric_family_name="up", type=2, help="Whether.")
    return bytes(request.SerializeToString())


def _syslog(body: bytes) -> Intake:
    framer = Framer()
    messages = framer.push(body[: len(body) // 2]) + framer.push(body[len(body) // 2 :])
    return read_messages([*messages, framer.last()], DEFAULTS, "test", "192.0.2.7")


def _decoded(coding: str) -> Callable[[bytes], Intake]:
    def read(body: bytes) -> Intake:
        plain = read_body(io.BytesIO(body), content_encoding=coding, content_length=len(body), limit=LIMIT)
        return read_lines(bytes(plain), DEFAULTS, "test", 1000)

    return read


LINES = (
    b"2026-11-24 12:00:01,000 ERROR app.web: failed\nTraceback (most recent call last):\n"
    b'  File "a.py", line 1, in <module>\nValueError: no\n{"message":"x","level":30}\nlevel=info msg="a b" n=1\n'
)
SYSLOG = (
    b'<165>1 2003-10-11T22:14:15.003Z web app 12 ID [id@1 user="a\\"n" x="1"][b c="d"] hello\n'
    b'25 <34>Oct 11 22:14:15 a su: b<4>plain\n<13>1 - - - - - - {"message": 1}\n'
)

METRIC_PARSERS = ("metrics", "otlp metrics", "otlp metrics json", "remote write")

PARSERS: dict[str, tuple[bytes, Callable[[bytes], Intake]]] = {
    "ndjson": (b'{"message":"a","n":1.5}\n{"ts":1764000000,"msg":"b"}', lambda body: parse(body, DEFAULTS, "test", 99)),
    "array": (
        b'[{"message":"a"}, {"level":"warn","x":[1,{"y":null}]}]',
        lambda body: parse(body, DEFAULTS, "test", 99),
    ),
    "otlp logs json": (
        orjson.dumps(
            {"resourceLogs": [{"resource": RESOURCE, "scopeLogs": [{"scope": SCOPE, "logRecords": [RECORD, RECORD]}]}]}
        ),
        lambda body: otlp_logs.read_json(body, DEFAULTS, "test", 99),
    ),
    "otlp logs": (_logs_proto(), lambda body: otlp_logs.read_proto(body, DEFAULTS, "test", 99)),
    "otlp traces json": (
        orjson.dumps({"resourceSpans": [{"resource": RESOURCE, "scopeSpans": [{"scope": SCOPE, "spans": [SPAN]}]}]}),
        lambda body: otlp_spans.read_json(body, DEFAULTS, "test", 99),
    ),
    "otlp traces": (_spans_proto(), lambda body: otlp_spans.read_proto(body, DEFAULTS, "test", 99)),
    "loki json": (
        orjson.dumps(
            {"streams": [{"stream": {"app": "s"}, "values": [[str(NOW), "a=1 b=2", {"trace_id": "ab"}], ["1", "x"]]}]}
        ),
        lambda body: loki.read_json(body, DEFAULTS, "test", 99),
    ),
    "loki": (_push_proto(), lambda body: loki.read_proto(body, DEFAULTS, "test", 99)),
    "loki snappy": (
        bytes(cramjam.snappy.compress_raw(_push_proto())),
        lambda body: loki.read_proto(unsnapped(body, LIMIT), DEFAULTS, "test", 99),
    ),
    "raw": (LINES, lambda body: read_lines(body, DEFAULTS, "test", 99)),
    "syslog": (SYSLOG, _syslog),
    "metrics": (
        b'[{"name":"a","kind":"counter","value":2,"labels":{"k":"v"}},{"name":"g","kind":"gauge","value":1.5,"timestamp":1764000000}]',
        lambda body: parse(body, DEFAULTS, "test", 99, delta_from_json_line),
    ),
    "otlp metrics": (_metrics_proto(), lambda body: otlp_metrics.read_proto(body, DEFAULTS, "test", 99)),
    "otlp metrics json": (
        MessageToJson(ExportMetricsServiceRequest.FromString(_metrics_proto())).encode(),
        lambda body: otlp_metrics.read_json(body, DEFAULTS, "test", 99),
    ),
    "remote write": (
        bytes(cramjam.snappy.compress_raw(_samples_proto())),
        lambda body: remote_write.read(remote_write.decompressed(body, LIMIT), DEFAULTS, "test", 99),
    ),
    "gzip": (gzip.compress(LINES, mtime=0), _decoded("gzip")),
    "deflate": (zlib.compress(LINES), _decoded("deflate")),
    "zstd": (zstandard.ZstdCompressor().compress(LINES), _decoded("zstd")),
    "gzip in zstd": (
        zstandard.ZstdCompressor().compress(gzip.compress(LINES, mtime=0)),
        _decoded("gzip, zstd"),
    ),
}

QUESTIONS: dict[str, tuple[bytes, Callable[[str], object]]] = {
    "search": (
        b'level:>=warning service:(api OR worker) "a b" -x user_id:42 ms:1..5 path:/a/* message:/re.+x/ has:exception',
        parse_search,
    ),
    "promql": (
        b'sum by (j) (rate(a{j=~"x.*",b!="c"}[5m] offset 1h)) / on (j) group_left max_over_time(u[1h:1m]) > bool 2',
        parse_promql,
    ),
}

_SPICES = (
    b"\x00", b"\xff", b"\xff\xff\xff\xff\x7f", b"{", b"[", b'"', b"\\", b"\n", b"\\ud800", b"null", b"1e999", b"-1",
    b"99999999999999999999999", b"\xee\x80\x80", b"\xed\xa0\x80", b"[" * 200, b'{"a":' * 200, b"\x80\x80\x80\x80\x10",
)  # fmt: skip


BODIES = {name: body for name, (body, _) in {**PARSERS, **QUESTIONS}.items()}
"""What is mutated, by what reads it."""


def mutated(body: bytes, source: random.Random) -> bytes:
    """The body with a few edits: bytes flipped, cut, doubled, moved, replaced by what parsers stumble over."""
    data = bytearray(body)
    for _ in range(source.randint(1, 6)):
        at = source.randrange(len(data) + 1)
        to = min(len(data), at + source.choice((1, 1, 2, 4, 16, 64)))
        kind = source.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << source.randrange(8)
        elif kind == 1:
            del data[at:to]
        elif kind == 2:
            data[at:at] = data[at:to] * source.choice((1, 2, 50))
        elif kind == 3:
            data[at:to] = source.choice(_SPICES)
        elif kind == 4:
            data[at:at] = source.randbytes(source.randint(1, 8))
        else:
            data[at:at] = source.choice(_SPICES)
    return bytes(data)


def check(name: str, body: bytes) -> None:
    """The body is read into what can be stored, or refused with a status below 500."""
    if name in QUESTIONS:
        with contextlib.suppress(QuerySyntaxError, PromqlError):
            QUESTIONS[name][1](body.decode("utf-8", "replace"))
        return
    try:
        intake = PARSERS[name][1](body)
    except IngestRefused:
        return
    except Problem as problem:
        assert 400 <= problem.status < 500, body
        return
    signal = METRICS if name in METRIC_PARSERS else LOGS
    packing = pack(intake.events, intake.rejected, max_text_bytes=1 << 20, signal=signal)
    assert not packing.dropped, body
    if signal is METRICS:
        assert all(type(delta) is Delta for delta in intake.events), body
        return
    for event in intake.events:
        assert 0 <= event.timestamp <= DEFAULTS.latest_ns, body
        assert 1 <= event.level <= 24, body
        assert sum(len(text.encode()) for text in event[2:]) <= MAX_EVENT_BYTES, body
        for document in (event.attributes, event.exception):
            assert not document or isinstance(orjson.loads(document), dict | str), body


@pytest.mark.parametrize("name", PARSERS)
def test_what_is_not_mutated_is_read_whole(name: str) -> None:
    body, read = PARSERS[name]
    intake = read(body)
    assert intake.events
    assert not intake.rejected


@pytest.mark.parametrize("name", BODIES)
@profile(max_examples=60)
@given(source=st.randoms(use_true_random=False))
def test_a_mutated_body_is_read_or_refused(name: str, source: random.Random) -> None:
    check(name, mutated(BODIES[name], source))


@pytest.mark.skipif("MUTATIONS" not in os.environ, reason="the long form: MUTATIONS=1000000")
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", BODIES)
def test_many_mutated_bodies_are_read_or_refused(name: str) -> None:
    source = random.Random(os.environ.get("SEED", "1") + name)
    for _ in range(-(-int(os.environ["MUTATIONS"]) // len(BODIES))):
        check(name, mutated(BODIES[name], source))
