"""POST /api/v1/logs: what is answered 202 ends in the store exactly once."""

from __future__ import annotations

import gzip
import json
import shutil
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from monitoring.api import once
from monitoring.pipeline.events.signals import LOGS
from monitoring.pipeline.store.promises import KEEP_NS
from monitoring.pipeline.store.verify import verify
from tests.instance import Instance


def lines(*messages: str) -> bytes:
    return b"\n".join(orjson.dumps({"message": message}) for message in messages)


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "identity": lambda data: data,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
}


def test_ndjson_arrays_and_objects_in_every_encoding_are_stored_once(instance: Instance) -> None:
    expected = []
    for name, encode in ENCODERS.items():
        for form, body in (
            ("ndjson", lines(f"{name} ndjson 1", f"{name} ndjson 2")),
            ("array", orjson.dumps([{"message": f"{name} array 1"}, {"message": f"{name} array 2"}])),
            ("object", json.dumps({"message": f"{name} object 1"}, indent=1).encode()),
        ):
            answer = instance.post(encode(body), headers={"Content-Encoding": name})
            count = 1 if form == "object" else 2
            assert (answer.status_code, answer.json) == (202, {"accepted": count, "rejected": []})
            expected += [f"{name} {form} {number + 1}" for number in range(count)]
    with instance.draining():
        assert sorted(instance.messages(len(expected))) == sorted(expected)
    assert verify(instance.catalog).findings == []


def test_rejected_lines_are_answered_and_dead_lettered_and_the_others_stored(instance: Instance) -> None:
    answer = instance.post(b'{"message":"good"}\nnot json\n[1]\n{"message":"also good"}\n')
    assert answer.status_code == 202
    assert answer.json is not None
    assert answer.json["accepted"] == 2
    assert [item["line"] for item in answer.json["rejected"]] == [2, 3]
    with instance.draining():
        assert sorted(instance.messages(2)) == ["also good", "good"]
        letters = instance.get("/api/v1/dead-letters")["dead_letters"]
    assert sorted((letter["line"], letter["raw"], letter["source"]) for letter in letters) == [
        (2, "not json", "http:ingest-key"),
        (3, "[1]", "http:ingest-key"),
    ]
    assert verify(instance.catalog).findings == []


def test_many_rejected_lines_are_counted_beyond_those_that_are_listed(instance: Instance) -> None:
    answer = instance.post(b"x\n" * 1500)
    assert answer.json is not None
    assert (answer.status_code, answer.json["accepted"]) == (202, 0)
    assert len(answer.json["rejected"]) + answer.json["rejected_not_listed"] == 1500


def test_an_empty_body_is_accepted_and_makes_nothing(instance: Instance) -> None:
    answer = instance.post(b"")
    assert (answer.status_code, answer.json) == (202, {"accepted": 0, "rejected": []})
    assert not (instance.data / "spool").exists()


def test_the_service_is_the_events_own_else_the_keys_name(instance: Instance) -> None:
    instance.post(b'{"message":"a"}\n{"message":"b","service":"shop"}')
    with instance.draining():
        instance.messages(2)
    events = instance.get("/api/v1/logs?order=oldest")["events"]
    assert {event["message"]: event["service"] for event in events} == {"a": "ingest-key", "b": "shop"}


def test_what_was_answered_while_the_bus_was_away_is_stored_when_it_is_back(
    tmp_path: Path, valkey_servers: Callable[..., Any]
) -> None:
    server = valkey_servers(appendonly="yes")
    instance = Instance(tmp_path / "data", server.url)
    server.kill()
    answer = instance.post(lines("safe"))
    assert answer.status_code == 202, answer.text
    assert instance.call("GET", "/readyz", None).status_code == 503
    server.start()
    with instance.draining():
        assert instance.messages(1) == ["safe"]
    instance.close()


def test_what_was_answered_survives_the_loss_of_the_process_and_is_stored_by_the_next(instance: Instance) -> None:
    """The bus is announced only after the first process is gone, so that nothing can have been sent before."""
    instance.streams.client.flushall()
    assert instance.post(lines("safe")).status_code == 202
    for publisher in instance.runtime.lanes(LOGS).publishers:
        publisher._flusher.close()  # its locks are gone, as if it had died
    instance.streams.announce({"logs": 2}, instance.catalog.instance)
    another = type(instance)(instance.data, instance.url)
    with another.draining():
        another.post(lines("second"))
        assert sorted(another.messages(2)) == ["safe", "second"]
    another.close()


def test_a_full_spool_is_answered_503_with_the_time_to_come_back(tmp_path: Path, valkey: str) -> None:
    instance = Instance(tmp_path / "data", valkey, MONITORING_SPOOL_BYTES="1mb")
    instance.streams.client.flushall()  # nobody takes anything out of the spool
    statuses = [instance.post(lines(f"{number} " + "x" * 200_000)).status_code for number in range(8)]
    accepted = statuses.count(202)
    assert set(statuses) == {202, 503}
    assert 0 < accepted < 8
    refused = instance.post(lines("y" * 200_000))
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) >= 1
    instance.close()


def test_a_body_that_never_fits_is_answered_413(tmp_path: Path, valkey: str) -> None:
    instance = Instance(tmp_path / "data", valkey, MONITORING_BUFFER_EVENTS="100", MONITORING_BUFFER_BYTES="65536")
    assert instance.post(lines(*["x"] * 101)).status_code == 413
    assert instance.post(lines(*["x" * 900] * 90)).status_code == 413
    assert instance.post(lines(*["x"] * 100)).status_code == 202
    instance.close()


def test_bombs_are_answered_413_and_unknown_encodings_415(tmp_path: Path, valkey: str) -> None:
    instance = Instance(tmp_path / "data", valkey, MONITORING_MAX_BODY="100kb")
    bomb = bytes(10 << 20)
    for name, encode in ENCODERS.items():
        answer = instance.post(encode(bomb), headers={"Content-Encoding": name})
        assert (name, answer.status_code) == (name, 413)
        assert answer.json is not None
        assert "MONITORING_MAX_BODY" in answer.json["fix"]
    nested = gzip.compress(gzip.compress(bomb))
    assert instance.post(nested, headers={"Content-Encoding": "gzip, gzip"}).status_code == 413
    assert instance.post(b"x", headers={"Content-Encoding": "br"}).status_code == 415
    assert instance.post(b"x", headers={"Content-Encoding": "gzip"}).status_code == 400
    instance.close()


def test_a_key_beyond_its_quota_is_answered_429_until_the_debt_is_paid(instance: Instance) -> None:
    clock = [0.0]
    instance.runtime.quotas._clock = lambda: clock[0]
    made = instance.call("POST", "/api/v1/keys", json={"name": "small", "role": "ingest", "quota": 60})
    assert made.json is not None
    instance.keys["small"] = made.json["key"]
    assert instance.post(lines(*["x"] * 90), "small").status_code == 202
    refused = instance.post(lines("y"), "small")
    assert refused.status_code == 429
    assert 30 <= int(refused.headers["Retry-After"]) <= 31
    assert instance.post(lines("y"), "ingest").status_code == 202
    clock[0] += int(refused.headers["Retry-After"])
    assert instance.post(lines("y"), "small").status_code == 202


# Idempotency-Key


def once_more(instance: Instance, body: bytes, value: str = "k", role: str = "ingest") -> Any:
    return instance.post(body, role, headers={"Idempotency-Key": value})


def insist(instance: Instance, body: bytes) -> Any:
    """Repeat the request as a client does, while the store has not taken it yet (a busy machine)."""
    ends = time.monotonic() + 60
    while (answer := once_more(instance, body)).status_code == 503 and time.monotonic() < ends:
        time.sleep(0.1)
    return answer


def test_a_repeated_request_has_the_same_answer_and_is_stored_once(instance: Instance) -> None:
    body = lines("a", "b") + b"\nbroken"
    first = once_more(instance, body)
    second = once_more(instance, body)
    assert first.status_code == second.status_code == 202
    assert first.json == second.json
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    with instance.draining():
        assert sorted(instance.messages(2)) == ["a", "b"]
    assert verify(instance.catalog).findings == []


def test_the_body_counts_as_it_is_decoded(instance: Instance) -> None:
    assert once_more(instance, lines("a")).status_code == 202
    packed = gzip.compress(lines("a"), mtime=1)
    again = instance.post(packed, headers={"Idempotency-Key": "k", "Content-Encoding": "gzip"})
    assert again.headers.get("Idempotent-Replayed") == "true"


def test_the_same_value_with_another_body_is_refused(instance: Instance) -> None:
    assert once_more(instance, lines("a")).status_code == 202
    answer = once_more(instance, lines("b"))
    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["field"] == "Idempotency-Key"


def test_values_belong_to_their_api_key(instance: Instance) -> None:
    assert once_more(instance, lines("a"), role="ingest").status_code == 202
    assert once_more(instance, lines("b"), role="operator").status_code == 202
    with instance.draining():
        assert sorted(instance.messages(2)) == ["a", "b"]


@pytest.mark.parametrize("value", ["", " ", "x" * 256, "naïve"])
def test_an_unusable_value_is_refused(instance: Instance, value: str) -> None:
    assert once_more(instance, lines("a"), value).status_code == 400


class Died(BaseException):
    """Stands for the death of the process at one place."""


@pytest.mark.parametrize("place", ["append", "place", "_try_to_send", "keep"])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_whoever_repeats_a_request_after_a_death_at_any_step_it_is_stored_once(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, place: str, elsewhere: bool
) -> None:
    """`elsewhere`: the retry goes to another process."""
    from monitoring.pipeline.publish.spool import SpoolLane
    from monitoring.pipeline.store.promises import Promises

    def die(*arguments: object, **named: object) -> None:
        raise Died

    owner: Any = {"append": SpoolLane, "place": SpoolLane, "_try_to_send": once, "keep": Promises}[place]
    body = lines(*[f"event {number}" for number in range(30)])
    with monkeypatch.context() as patch, pytest.raises(Died):
        patch.setattr(owner, place, die)
        once_more(instance, body)
    retrying = Instance(instance.data, instance.url) if elsewhere else instance
    retrying.keys["ingest"] = instance.keys["ingest"]
    with retrying.draining():
        answer = insist(retrying, body)
        assert (answer.status_code, answer.json) == (202, {"accepted": 30, "rejected": []}), answer.text
        assert len(retrying.messages(30)) == 30
        assert once_more(retrying, body).headers["Idempotent-Replayed"] == "true"
        retrying.post(lines("last"))
        assert len(retrying.messages(31)) == 31
    assert verify(instance.catalog).findings == []
    if elsewhere:
        retrying.close()


def test_many_at_the_same_time_with_one_value_are_stored_once(instance: Instance) -> None:
    body = lines("a", "b", "c")
    answers: list[int] = []

    def ask() -> None:
        client = instance.app.test_client()
        headers = {"Authorization": f"Bearer {instance.keys['ingest']}", "Idempotency-Key": "k"}
        ends = time.monotonic() + 60
        while (status := client.post("/api/v1/logs", data=body, headers=headers).status_code) == 503:
            assert time.monotonic() < ends
        answers.append(status)

    with instance.draining():
        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [202] * 6
        assert sorted(instance.messages(3)) == ["a", "b", "c"]
        instance.post(lines("last"))
        assert sorted(instance.messages(4)) == ["a", "b", "c", "last"]
    assert verify(instance.catalog).findings == []


def test_after_24_hours_a_value_may_be_used_for_another_body(instance: Instance) -> None:
    runtime = instance.runtime
    clock = [runtime.now_ns()]
    runtime.now_ns = lambda: clock[0]
    assert once_more(instance, lines("a")).status_code == 202
    clock[0] += KEEP_NS
    assert once_more(instance, lines("b")).status_code == 202
    with instance.draining():
        assert sorted(instance.messages(2)) == ["a", "b"]
    assert verify(instance.catalog).findings == []


# Anything at all


@pytest.fixture
def fuzzed(tmp_path_factory: pytest.TempPathFactory, valkey: str) -> Iterator[Instance]:
    """Closed before the next test has the server: its publisher sends again what that test's server forgets."""
    data = tmp_path_factory.mktemp("fuzz") / "data"
    made = Instance(data, valkey)
    yield made
    made.close()
    shutil.rmtree(data, ignore_errors=True)


BODIES = st.one_of(
    st.binary(max_size=400),
    st.text(alphabet='[]{}",:\\ \n\r\t01e+-.truefalsn\x00\ud7ff', max_size=200).map(lambda text: text.encode()),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["message", "time", "level", "attributes", "service", "exception", "x.y", ""]), inner
            )
        ),
        max_leaves=20,
    ).map(lambda value: json.dumps(value).encode()),
    st.integers(1, 3000).map(lambda depth: b'{"a":' * depth + b"1" + b"}" * depth),
    st.integers(1, 3000).map(lambda depth: b"[" * depth + b"]" * depth),
)


@profile(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES, encoding=st.sampled_from([*ENCODERS, "gzip, zstd", "raw"]), key=st.booleans())
def test_no_body_gives_a_server_error(fuzzed: Instance, body: bytes, encoding: str, key: bool) -> None:
    data = body
    for name in encoding.split(", "):
        data = ENCODERS.get(name, lambda same: same)(data)
    headers = {"Content-Encoding": "gzip" if encoding == "raw" else encoding}
    if key:
        headers["Idempotency-Key"] = str(hash(data))
    answer = fuzzed.post(data, headers=headers)
    assert answer.status_code in (202, 400, 413), answer.text
    assert answer.json is not None
    if answer.status_code == 202:
        assert answer.json["accepted"] >= 0
    else:
        assert answer.json["detail"]
