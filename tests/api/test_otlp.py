"""OTLP over HTTP: stored once, answered in the request's type, partial success told, errors a Status."""

from __future__ import annotations

import gzip

import orjson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from monitoring.api.otlp import PROTOBUF, _status
from monitoring.pipeline.events.event import MAX_EVENT_BYTES
from monitoring.pipeline.store.verify import verify
from tests.instance import Instance


def request(*messages: str) -> bytes:
    """Records with these bodies, in protobuf."""
    made = ExportLogsServiceRequest()
    scope = made.resource_logs.add().scope_logs.add()
    for message in messages:
        scope.log_records.add().body.string_value = message
    return bytes(made.SerializeToString())


def test_protobuf_and_json_compressed_or_not_are_stored_once(instance: Instance) -> None:
    headers = {"Content-Type": PROTOBUF, "Idempotency-Key": "k-1"}
    for _ in range(2):
        answer = instance.call("POST", "/v1/logs", "ingest", data=request("proto 1", "proto 2"), headers=headers)
        assert (answer.status_code, answer.mimetype, answer.data) == (200, PROTOBUF, b"")
    document = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "json"}}]}]}]}
    answer = instance.call(
        "POST",
        "/v1/logs",
        "ingest",
        data=gzip.compress(orjson.dumps(document)),
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
    )
    assert (answer.status_code, answer.mimetype, answer.json) == (200, "application/json", {})
    with instance.draining():
        assert sorted(instance.messages(3)) == ["json", "proto 1", "proto 2"]
    assert verify(instance.catalog).findings == []


def test_what_is_rejected_is_counted_in_the_answer_and_dead_lettered(instance: Instance) -> None:
    body = request("good", "x" * (MAX_EVENT_BYTES + 1))
    answer = instance.call("POST", "/v1/logs", "ingest", data=body, headers={"Content-Type": PROTOBUF})
    told = ExportLogsServiceResponse.FromString(answer.data).partial_success
    assert (answer.status_code, told.rejected_log_records) == (200, 1)
    assert "longer than" in told.error_message
    with instance.draining():
        assert instance.messages(1) == ["good"]
        assert instance.get("/api/v1/dead-letters")["total"] == 1


def test_errors_are_a_status_in_the_type_of_the_request(instance: Instance) -> None:
    answer = instance.call("POST", "/v1/logs", "ingest", data=b"\xff", headers={"Content-Type": PROTOBUF})
    assert (answer.status_code, answer.mimetype) == (400, PROTOBUF)
    assert _status().FromString(answer.data).code == 3
    answer = instance.call("POST", "/v1/logs", "ingest", data=b"[", headers={"Content-Type": "application/json"})
    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (400, 3)
    assert instance.call("POST", "/v1/traces", "ingest", data=b"x=1").status_code == 415


def test_traces_are_taken_and_their_ids_found(instance: Instance) -> None:
    span = {"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7", "name": "GET /"}
    answer = instance.call(
        "POST", "/v1/traces", "ingest", json={"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    )
    assert (answer.status_code, answer.json) == (200, {})
    with instance.draining():
        assert instance.messages(1, "span_id:00f067aa0ba902b7") == ["GET /"]
