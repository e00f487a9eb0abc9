"""/api/v1/frames: the bus for those who cannot reach it."""

from __future__ import annotations

import gzip
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from werkzeug.serving import make_server

from monitoring.pipeline.bus.frame import encode_payload
from monitoring.pipeline.bus.streams import META_KEY
from monitoring.pipeline.errors import BusRefused
from monitoring.pipeline.events.delta import Delta
from monitoring.pipeline.events.event import Rejected
from monitoring.pipeline.events.signals import METRICS
from monitoring.pipeline.publish.http import HttpTransport
from monitoring.pipeline.publish.publisher import Publisher
from monitoring.pipeline.publish.spool import Spool
from monitoring.pipeline.store.verify import verify
from tests.frames import Sender, event
from tests.instance import Instance

LANE = "0" * 31 + "1"


def address(lane: str = LANE, partition: int | str = 0, signal: str = "logs", **more: str) -> dict[str, str]:
    return {"signal": signal, "partition": str(partition), "lane": lane, **more}


def send(instance: Instance, body: bytes, query: dict[str, str] | None = None, **arguments: Any) -> Any:
    return instance.call("POST", "/api/v1/frames", "ingest", data=body, query_string=query or address(), **arguments)


def fresh_sender(instance: Instance) -> Sender:
    return Sender(uuid.uuid4().hex, created=instance.runtime.now_ns())


def test_the_partitions_are_told(instance: Instance) -> None:
    assert instance.get("/api/v1/frames", "ingest") == {"partitions": {"logs": 2, "metrics": 1}}


def test_metrics_are_taken_where_the_instance_has_partitions_for_them(instance: Instance) -> None:
    sender = fresh_sender(instance)
    made = [Delta(1, 2, "api", family="{}", labels="{}", value="3")]
    frame = sender.frame(made, signal="metrics", payload=encode_payload(made, (), METRICS))
    where = address(sender.lane, 0, "metrics")
    instance.streams.client.hdel(META_KEY, "partitions:metrics")
    refused = send(instance, frame.to_record(), where)
    assert refused.status_code == 400 and refused.json["field"] == "signal"
    instance.streams.announce({"logs": 2, "metrics": 1}, instance.catalog.instance)
    assert instance.get("/api/v1/frames", "ingest") == {"partitions": {"logs": 2, "metrics": 1}}
    assert send(instance, frame.to_record(), where).status_code == 202
    assert instance.streams.length("metrics", 0) == 1
    assert send(instance, frame.to_record(), address(sender.lane, 1, "metrics")).json["field"] == "partition"


def test_frames_travel_as_on_the_bus_and_are_stored_once(instance: Instance) -> None:
    sender = fresh_sender(instance)
    frames = [sender.frame([event(number)]) for number in range(3)]
    body = b"".join(frame.to_record() for frame in frames)
    where = address(sender.lane, 1)
    first = send(instance, body, where)
    assert first.status_code == 202
    assert (len(first.json["ids"]), first.json["low"], first.json["full"]) == (3, 0, False)
    waiting = instance.get("/api/v1/frames", "ingest", query_string={**where, "id": first.json["ids"][0]})
    assert waiting == {"present": True}
    again = send(instance, gzip.compress(body), where, headers={"Content-Encoding": "gzip"})
    assert len(again.json["ids"]) == 3
    with instance.draining():
        assert instance.messages(3) == [f"event number {number}" for number in range(3)]
    settled = send(instance, b"", where)
    assert settled.json == {"ids": [], "low": 3, "full": False}
    gone = instance.get("/api/v1/frames", "ingest", query_string={**where, "id": first.json["ids"][0]})
    assert gone == {"present": False}
    assert verify(instance.catalog).findings == []


def test_a_torn_or_changed_record_is_named_and_nothing_is_relayed(instance: Instance) -> None:
    sender = Sender(LANE)
    good, other = sender.frame([event(1)]).to_record(), sender.frame([event(2)]).to_record()
    changed = bytearray(other)
    changed[-3] ^= 1
    for body in (good + other[:-1], good + bytes(changed), good + b"junk", good + other[4:]):
        answer = send(instance, body)
        assert answer.status_code == 400
        assert answer.json["detail"].startswith("record 2:")
        assert answer.json["field"] == "body"
    assert instance.streams.length("logs", 0) == 0


def test_a_frame_whose_digest_does_not_fit_is_refused(instance: Instance) -> None:
    frame = Sender(LANE).frame([event(1)])
    object.__setattr__(frame, "digest", "0" * 32)
    answer = send(instance, frame.to_record())
    assert answer.status_code == 400
    assert "record 1" in answer.json["detail"]
    assert "digest" in answer.json["detail"]


def test_a_frame_of_another_lane_is_refused(instance: Instance) -> None:
    answer = send(instance, Sender(7).frame([event(1)]).to_record())
    assert answer.status_code == 400
    assert instance.streams.length("logs", 0) == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("signal", "traces"),
        ("partition", "2"),
        ("partition", "-1"),
        ("partition", "x"),
        ("partition", ""),
        ("lane", "0" * 31),
        ("lane", "G" * 32),
        ("lane", "A" * 32),
    ],
)
def test_an_address_that_cannot_be_is_named(instance: Instance, field: str, value: str) -> None:
    query = {**address(), field: value}
    for answer in (send(instance, b"", query), instance.call("PUT", "/api/v1/frames", json={}, query_string=query)):
        assert answer.status_code == 400
        assert answer.json is not None
        assert answer.json["field"] == field


def test_asking_without_or_with_a_bad_id_is_a_problem(instance: Instance) -> None:
    for query in (address(), address(id="x"), address(id="1-"), {"signal": "logs"}):
        assert instance.call("GET", "/api/v1/frames", query_string=query).status_code == 400


def test_a_report_is_kept_for_status(instance: Instance) -> None:
    facts = {"emitted": 5, "dropped": {"shed": 2}, "service": "shop", "host": "h", "pid": 3, "closed": False, "seen": 1}
    answer = instance.call("PUT", "/api/v1/frames", "ingest", json=facts, query_string=address())
    assert (answer.status_code, answer.data) == (204, b"")
    assert instance.streams.reports("logs", 0) == {LANE: facts}
    producer = instance.get("/api/v1/status")["producers"][0]
    assert (producer["service"], producer["state"], producer["unaccounted"]) == ("shop", "vanished", 3)
    assert producer["unaccounted_since"].startswith("1970")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"1", b'{"x": "' + b"y" * 70_000 + b'"}'])
def test_a_report_that_is_no_object_or_too_large_is_refused(instance: Instance, body: bytes) -> None:
    answer = instance.call("PUT", "/api/v1/frames", data=body, query_string=address())
    assert answer.status_code in (400, 413)


def test_reports_of_any_shape_do_not_break_status(instance: Instance) -> None:
    for facts in (
        {"emitted": "x", "dropped": 7, "seen": [], "closed": "no"},
        {"dropped": {"a": -1}},
        {"pid": {"x": 1}},
    ):
        instance.call("PUT", "/api/v1/frames", json=facts, query_string=address())
        assert instance.get("/api/v1/status")["producers"]


def test_while_the_bus_is_away_or_full_the_answer_is_503_with_the_time_to_come_back(
    tmp_path: Path, valkey_servers: Callable[..., Any]
) -> None:
    server = valkey_servers()
    instance = Instance(tmp_path / "data", server.url)
    body = Sender(LANE).frame([event(1)]).to_record()
    assert send(instance, body).status_code == 202
    instance.streams.client.config_set("maxmemory", "1mb")
    full = send(instance, body)
    assert full.status_code == 503
    assert int(full.headers["Retry-After"]) >= 1
    server.kill()
    for answer in (send(instance, body), instance.call("PUT", "/api/v1/frames", json={}, query_string=address())):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1
    instance.close()


def test_before_the_bus_is_announced_the_answer_is_503(instance: Instance) -> None:
    instance.streams.client.flushall()
    assert instance.call("GET", "/api/v1/frames").status_code == 503


@pytest.fixture
def address_of(instance: Instance) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, instance.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_publisher_without_access_to_the_bus_has_the_same_guarantee_over_http(
    instance: Instance, address_of: str, tmp_path: Path
) -> None:
    publisher = Publisher(
        lambda: HttpTransport(address_of, instance.keys["ingest"]),
        spool=Spool(tmp_path / "spool", max_bytes=1 << 30),
        required=True,
    )
    with instance.draining():
        for number in range(2500):
            publisher.emit(event(number))
        publisher.reject(Rejected("broken", b"raw", "test", 1))
        assert publisher.flush(30, ack="store")
        assert len(instance.messages(2500)) == 2500
    assert publisher.counters().committed == 2501
    publisher.close()
    producers = instance.get("/api/v1/status")["producers"]
    assert [producer["state"] for producer in producers] == ["closed"]
    assert verify(instance.catalog).findings == []


def test_a_key_that_may_not_write_is_refused_for_good(instance: Instance, address_of: str) -> None:
    transport = HttpTransport(address_of, "mon_no_key")
    with pytest.raises(BusRefused):
        transport.partitions("logs")
    transport.close()


RECORD = Sender(LANE).frame([event(1)]).to_record()


@profile(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, len(RECORD)), at=st.integers(0, len(RECORD) - 1), flip=st.integers(0, 255), tail=st.binary())
def test_no_body_gives_a_server_error(instance: Instance, cut: int, at: int, flip: int, tail: bytes) -> None:
    body = bytearray(RECORD)
    body[at] ^= flip
    assert send(instance, bytes(body[:cut]) + tail).status_code in (202, 400)
