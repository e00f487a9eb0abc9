"""POST /api/v1/metrics: what is answered 202 ends in the store exactly once, and the rest is told why not."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from monitoring.api import once
from monitoring.pipeline.store.metric_segment import MetricContents
from monitoring.pipeline.store.metrics import open_metrics
from monitoring.pipeline.store.series import SeriesLimits
from monitoring.pipeline.store.verify import verify
from tests.deltas import connections, totals
from tests.instance import Instance


def item(name: str = "orders", value: Any = 1, kind: str = "counter", **members: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, "value": value, **members}


def post(instance: Instance, body: Any, **headers: str) -> Any:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return instance.call("POST", "/api/v1/metrics", "ingest", data=data, headers=headers)


def wait_for(condition: Callable[[], Any]) -> Any:
    ends = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < ends
        time.sleep(0.02)
    return found


def stored(instance: Instance, rows: int) -> None:
    """Wait until the store has so many deltas."""
    query = "SELECT sum(rows) FROM head"
    wait_for(lambda: sum(c.execute(query).get or 0 for c in connections(instance.data)) >= rows)


def series(instance: Instance) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    query = "SELECT name, labels FROM series JOIN family ON family.id = family ORDER BY name, labels"
    for connection in connections(instance.data):
        for name, labels in connection.execute(query):
            found.setdefault(name, []).append(orjson.loads(labels))
    return found


def test_counters_gauges_and_histograms_are_stored_with_their_labels(instance: Instance) -> None:
    answer = post(
        instance,
        [
            item("http.requests_total", 3, labels={"route": "/x", "code": 200, "ok": True, "none": None}),
            item(
                "http.requests_total", "2", labels={"code": "200", "route": "/x", "ok": "true"}, timestamp=time.time()
            ),
            item("seconds_total", 0.5, service="shop", host="h1", tags={"environment": "prod", "zone.id": "a"}),
            {"name": "sizes", "value": {"sum": 7, "counts": [1, 0, 2], "bounds": [1, 5]}, "unit": "bytes"},
            item("waiting", 4, "gauge", across="sum", help="Jobs that wait."),
        ],
    )
    assert (answer.status_code, answer.json) == (202, {"accepted": 5, "rejected": []})
    with instance.draining():
        stored(instance, 5)
    assert totals(instance.data) == {"http_requests": 5, "seconds": 0.5, "sizes_sum": 7, "sizes_count": 3}
    mine = {"service": "ingest-key"}
    assert series(instance) == {
        "http_requests": [{"code": "200", "ok": "true", "route": "/x", **mine}],
        "seconds": [{"environment": "prod", "host": "h1", "service": "shop", "zone_id": "a"}],
        "sizes": [mine],
        "waiting": [mine],
    }
    families = {(family.name, family.across, family.unit, family.help) for family in metrics_of(instance)}
    assert {("waiting", "sum", "", "Jobs that wait."), ("sizes", "", "bytes", "")} < families
    assert verify(instance.catalog).findings == []


def metrics_of(instance: Instance) -> Any:
    store = open_metrics(instance.settings)
    found = store.families()
    store.close()
    return found


BAD = {
    "name is missing": {"kind": "counter", "value": 1},
    "kind is missing or unknown: counter, gauge or histogram": {"name": "x", "value": 1},
    "there is no member 'vaule': did you mean value?": {"name": "x", "kind": "gauge", "vaule": 1},
    "a counter cannot grow by -1": item(value=-1),
    "None is no number that can be stored": item(value=None),
    "'x' is no number": item(value="x"),
    "labels are no object": item(labels=["a"]),
    "a is neither text nor a number": item(labels={"a": {}}),
    "'!!' cannot name a metric": item("!!"),
    "'soon' is no time": item(timestamp="soon"),
    "bounds do not go with a counter": item(bounds=True),
    "a histogram of this family has 2 counts": item("x", {"sum": 1, "counts": [1], "bounds": [1]}, "histogram"),
    "the bounds do not rise": item("x", {"sum": 1, "counts": [1, 1, 1], "bounds": [2, 1]}, "histogram"),
    "le cannot name a label of a histogram: its buckets have it": item(
        "x", {"sum": 1, "counts": [1, 1], "bounds": [1]}, "histogram", labels={"le": "1"}
    ),
    "across='max' does not go with a counter": item(across="max"),
}


def test_what_makes_no_sense_is_told_why_and_kept_and_the_rest_is_stored(instance: Instance) -> None:
    answer = post(instance, [*BAD.values(), item(value=2)])
    assert answer.json["accepted"] == 1
    assert {rejected["reason"]: rejected["line"] for rejected in answer.json["rejected"]} == {
        reason: place for place, reason in enumerate(BAD, 1)
    }
    answer = post(instance, b'{"name":"orders","kind":"counter","value":1}\nnonsense\n')
    assert (answer.json["accepted"], answer.json["rejected"][0]["line"]) == (1, 2)
    with instance.draining():
        stored(instance, 2)
        letters = instance.get("/api/v1/dead-letters")["dead_letters"]
        assert len(letters) == len(BAD) + 1 and {letter["kind"] for letter in letters} == {"input"}
        replayed = instance.call("POST", f"/api/v1/dead-letters/{letters[0]['id']}/replay")
        assert replayed.status_code == 422
    assert totals(instance.data) == {"orders": 3}
    assert verify(instance.catalog).findings == []
    assert post(instance, b"[{").status_code == 400


def test_a_dead_letter_of_a_metric_that_had_no_room_is_stored_when_it_has_some(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, instance.draining():
        patch.setattr(MetricContents, "limits", SeriesLimits(families=1, series_each=10, series=30))
        post(instance, [item("first"), item("second", 5)])
        stored(instance, 1)
    with instance.draining():
        (letter,) = instance.get("/api/v1/dead-letters")["dead_letters"]
        assert letter["kind"] == "delta" and "1 metrics already" in letter["reason"]
        for before in (False, True):
            answer = instance.call("POST", f"/api/v1/dead-letters/{letter['id']}/replay")
            assert answer.status_code == 200 and answer.json is not None
            assert (answer.json["events"], answer.json["replayed_before"]) == (1, before)
    assert totals(instance.data) == {"first": 1, "second": 5}
    assert verify(instance.catalog).findings == []


def test_the_same_value_and_body_are_stored_once_in_every_encoding(instance: Instance) -> None:
    body = [item(value=2), item("sizes", {"sum": 1, "counts": [1, 0], "bounds": [1]}, "histogram")]
    packed = gzip.compress(orjson.dumps(body))
    with instance.draining():
        for number in range(3):
            answer = post(instance, packed if number == 1 else body, **{
                "Idempotency-Key": "k", **({"Content-Encoding": "gzip"} if number == 1 else {}),
            })  # fmt: skip
            assert (answer.status_code, answer.json["accepted"]) == (202, 2)
            assert answer.headers.get("Idempotent-Replayed") == ("true" if number else None)
        assert post(instance, [item(value=3)], **{"Idempotency-Key": "k"}).status_code == 422
        stored(instance, 2)
    assert totals(instance.data) == {"orders": 2, "sizes_sum": 1, "sizes_count": 1}


def test_who_repeats_after_a_death_is_counted_once(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    class Died(BaseException):
        pass

    def die(*arguments: object) -> None:
        raise Died

    with monkeypatch.context() as patch, pytest.raises(Died):
        patch.setattr(once, "_try_to_send", die)
        post(instance, [item(value=7)], **{"Idempotency-Key": "k"})
    with instance.draining():
        wait_for(lambda: post(instance, [item(value=7)], **{"Idempotency-Key": "k"}).status_code == 202)
    assert totals(instance.data) == {"orders": 7}


def test_what_was_answered_while_nobody_takes_metrics_waits_in_the_spool(instance: Instance) -> None:
    instance.streams.client.flushall()
    assert post(instance, [item(value=4)]).status_code == 202
    instance.runtime.close()
    instance.streams.announce({"logs": 2, "metrics": 1}, instance.catalog.instance)
    with instance.draining():
        assert post(instance, [item(value=1)]).status_code == 202
        stored(instance, 2)
    assert totals(instance.data) == {"orders": 5}


def test_a_quota_counts_metrics_and_logs_alike(instance: Instance) -> None:
    made = instance.call("POST", "/api/v1/keys", json={"name": "x", "role": "ingest", "quota": 2}).json
    assert made is not None
    instance.keys["ingest"] = made["key"]
    assert post(instance, [item(), item(), item()]).status_code == 202
    answer = post(instance, [item()])
    assert answer.status_code == 429 and int(answer.headers["Retry-After"]) >= 1


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
members = st.sampled_from(["name", "kind", "value", "labels", "timestamp", "unit", "across", "bounds", "service"])
almost = st.fixed_dictionaries(
    {"name": st.text(max_size=5) | st.just("x"), "kind": st.sampled_from(["counter", "gauge", "histogram"])},
    optional={"value": values, "labels": values, "timestamp": values, "bounds": values, "across": values},
)


@profile(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(almost | st.dictionaries(members, values, max_size=4), max_size=6) | st.binary(max_size=50))
def test_whatever_is_sent_is_taken_or_refused_and_never_an_error_of_ours(instance: Instance, body: Any) -> None:
    import json

    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = post(instance, data)
    assert answer.status_code in (202, 400), answer.text
    if answer.status_code == 202 and not isinstance(body, bytes):
        assert answer.json["accepted"] + len(answer.json["rejected"]) == len(body)
