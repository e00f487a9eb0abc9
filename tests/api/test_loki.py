"""Loki's push over HTTP: stored once, 204, and no bomb."""

from __future__ import annotations

import base64

import cramjam
import orjson

from monitoring.api.otlp import PROTOBUF
from monitoring.pipeline.ingest.loki import push_request
from monitoring.pipeline.store.verify import verify
from tests.instance import Instance

PUSH = "/loki/api/v1/push"


def test_json_and_snappy_protobuf_are_stored_once(instance: Instance) -> None:
    document = {"streams": [{"stream": {"app": "shop"}, "values": [["1764000000000000000", "from json"]]}]}
    answer = instance.call("POST", PUSH, "ingest", json=document)
    assert (answer.status_code, answer.data) == (204, b"")
    request = push_request()()
    request.streams.add(labels='{app="shop"}').entries.add(line="from protobuf").timestamp.seconds = 1764000000
    data = bytes(cramjam.snappy.compress_raw(request.SerializeToString()))
    for _ in range(2):
        headers = {"Content-Type": PROTOBUF, "Idempotency-Key": "once"}
        assert instance.call("POST", PUSH, "ingest", data=data, headers=headers).status_code == 204
    with instance.draining():
        assert sorted(instance.messages(2, "service:shop")) == ["from json", "from protobuf"]
    assert verify(instance.catalog).findings == []


def test_a_key_may_come_as_the_password_of_basic_authentication(instance: Instance) -> None:
    basic = base64.b64encode(f"anybody:{instance.keys['ingest']}".encode()).decode()
    answer = instance.call("POST", PUSH, None, json={"streams": []}, headers={"Authorization": f"Basic {basic}"})
    assert answer.status_code == 204
    for wrong in ("Basic", "Basic !", "Basic " + base64.b64encode(b"no colon").decode(), "Basic bm9ib2R5Og=="):
        answer = instance.call("POST", PUSH, None, json={"streams": []}, headers={"Authorization": wrong})
        assert answer.status_code == 401, wrong


def test_a_block_that_is_torn_lies_or_is_too_large_is_refused(instance: Instance) -> None:
    most = instance.settings.whole("max_body")
    bomb = bytes(cramjam.snappy.compress_raw(bytes(most + 1)))
    for data, status in ((b"\xff" * 9, 400), (b"\x80\x80\x80\x04\x00", 400), (bomb[:99], 413), (bomb, 413)):
        answer = instance.call("POST", PUSH, "ingest", data=data, headers={"Content-Type": PROTOBUF})
        assert answer.status_code == status, data[:9]


def test_the_type_says_what_the_body_is(instance: Instance) -> None:
    answer = instance.call("POST", PUSH, "ingest", data=orjson.dumps({}), headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415
