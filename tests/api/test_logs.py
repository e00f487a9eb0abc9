"""GET /api/v1/logs: pages of events."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from monitoring.api.app import create_app
from monitoring.pipeline.query.limits import QUERIES_AT_ONCE, STREAMS_AT_ONCE, Deadline
from tests.instance import Instance

T0 = 1_790_000_000


@pytest.fixture
def stored(instance: Instance) -> Instance:
    """25 events, a second apart; every fifth is an error of another service."""
    body = b"\n".join(
        orjson.dumps(
            {
                "message": f"event {number:02d}",
                "time": T0 + number,
                "level": "error" if number % 5 == 0 else "info",
                "service": "shop" if number % 5 == 0 else "web",
                "user_id": number,
                "trace_id": f"{number:032x}",
            }
        )
        for number in range(25)
    )
    assert instance.post(body).status_code == 202
    with instance.draining():
        assert len(instance.messages(25)) == 25
    return instance


def search(instance: Instance, **query: str) -> Any:
    return instance.get("/api/v1/logs", "viewer", query_string=query)


def test_an_event_has_all_of_its_fields(stored: Instance) -> None:
    found = search(stored, query="user_id:7")["events"]
    assert len(found) == 1
    assert {name: found[0][name] for name in found[0] if name != "id"} == {
        "timestamp": "2026-09-21T14:13:27.000000000Z",
        "level": "INFO",
        "service": "web",
        "environment": "",
        "release": "",
        "logger": "",
        "host": "",
        "message": "event 07",
        "trace_id": f"{7:032x}",
        "span_id": "",
        "request_id": "",
        "attributes": {"user_id": 7},
        "exception": None,
    }


@pytest.mark.parametrize(("order", "step"), [("newest", -1), ("oldest", 1), ("desc", -1), ("asc", 1)])
def test_pages_in_either_order_show_each_event_once(stored: Instance, order: str, step: int) -> None:
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        page = search(stored, order=order, limit="7", **({"cursor": cursor} if cursor else {}))
        seen += [event["message"] for event in page["events"]]
        cursor = page["next_cursor"]
    assert seen == [f"event {number:02d}" for number in range(25)][::step]


def test_queries_and_times_narrow_the_answer(stored: Instance) -> None:
    assert len(search(stored, query="level:error service:shop")["events"]) == 5
    assert len(search(stored, start=str(T0 + 10), end=str(T0 + 20))["events"]) == 10
    assert len(search(stored, query="event", start="2026-09-21T14:13:40Z")["events"]) == 5
    assert search(stored, query="nothing")["events"] == []
    assert search(stored, start="-15m")["events"] == []


def test_a_range_that_ends_before_it_begins_is_refused_with_both_moments(stored: Instance) -> None:
    for path in ("", "/histogram", "/facets", "/stats", "/patterns", "/export"):
        answer = stored.call("GET", f"/api/v1/logs{path}", query_string={"start": str(T0 + 9), "end": str(T0)})
        assert (answer.status_code, (answer.json or {})["field"]) == (400, "start")
        assert "2026-09-21T14:13:29" in (answer.json or {})["detail"]
    assert search(stored, start=str(T0), end=str(T0))["events"] == []


def test_a_word_that_looks_like_an_operator_is_told_beside_the_answer(stored: Instance) -> None:
    page = search(stored, query="event or nothing")
    assert page["events"] == []
    assert "write OR" in page["hints"][0]
    assert "hints" not in search(stored, query="event OR nothing")
    assert "write OR" in stored.get("/api/v1/logs/histogram", "viewer", query_string={"query": "a or b"})["hints"][0]


def test_the_answer_says_how_far_it_is_complete_and_how_long_it_took(stored: Instance) -> None:
    page = search(stored)
    assert page["complete_through"].endswith("Z")
    assert page["took_ms"] > 0
    assert "partial" not in page


def test_an_event_is_found_by_its_id(stored: Instance) -> None:
    event = search(stored, limit="1")["events"][0]
    assert stored.get(f"/api/v1/logs/{event['id']}", "viewer") == event


@pytest.mark.parametrize("identity", ["x", "0000000000000000-0-1", "0000000000000000-9-9", "%00", "..%2f..", "a-b-c"])
def test_an_unknown_id_is_404(stored: Instance, identity: str) -> None:
    assert stored.call("GET", f"/api/v1/logs/{identity}").status_code == 404


def test_a_syntax_error_names_the_column_and_the_fix(stored: Instance) -> None:
    answer = stored.call("GET", "/api/v1/logs", query_string={"query": "level:error AND ("})
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["field"] == "query"
    assert answer.json["column"] >= 17


@pytest.mark.parametrize(
    ("name", "value"),
    [("limit", "0"), ("limit", "10001"), ("limit", "x"), ("limit", "-1"), ("order", "up"), ("start", "yesterdayish"),
     ("end", "2026-13-01"), ("cursor", "abc"), ("cursor", "AAAA" * 20)],
)  # fmt: skip
def test_an_unusable_parameter_is_named_with_a_fix(stored: Instance, name: str, value: str) -> None:
    answer = stored.call("GET", "/api/v1/logs", query_string={name: value})
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["field"] == name
    assert answer.json["fix"]


def test_a_query_that_runs_out_of_time_says_so_and_leads_on(stored: Instance) -> None:
    hasty = create_app(stored.settings.replace(query_timeout=0.0))
    headers = {"Authorization": f"Bearer {stored.keys['viewer']}"}
    page = hasty.test_client().get("/api/v1/logs?query=message:/e.*4/", headers=headers).json
    assert page is not None
    assert page["events"] == []
    assert page["partial"] == {"reason": "time"}
    followed = search(stored, query="message:/e.*4/", cursor=page["next_cursor"])
    assert [event["message"] for event in followed["events"]] == ["event 24", "event 14", "event 04"]


def test_search_works_while_the_bus_is_away(tmp_path: Path, valkey_servers: Callable[..., Any]) -> None:
    server = valkey_servers()
    instance = Instance(tmp_path / "data", server.url)
    instance.post(b'{"message":"there"}')
    with instance.draining():
        assert instance.messages(1) == ["there"]
    server.kill()
    page = search(instance)
    assert [event["message"] for event in page["events"]] == ["there"]
    assert page["complete_through"] is None
    instance.close()


@pytest.mark.parametrize(
    "attack", ["' OR 1=1 --", '" OR text MATCH "x', "x; DROP TABLE log", "\x00", "*", "a" * 9000, "(" * 99]
)
def test_hostile_queries_are_searched_for_or_refused(stored: Instance, attack: str) -> None:
    answer = stored.call("GET", "/api/v1/logs", query_string={"query": attack})
    assert answer.status_code in (200, 400)
    assert len(search(stored)["events"]) == 25


def test_a_histogram_counts_the_events_by_time_and_level(stored: Instance) -> None:
    found = stored.get("/api/v1/logs/histogram", "viewer", query_string={"query": "event", "buckets": "10"})
    assert sum(bucket["total"] for bucket in found["buckets"]) == 25
    assert all(sum(bucket["levels"].values()) == bucket["total"] for bucket in found["buckets"])
    assert found["interval_seconds"] > 0
    assert found["complete_through"].endswith("Z")
    assert found["took_ms"] > 0
    assert "partial" not in found
    refused = stored.call("GET", "/api/v1/logs/histogram", query_string={"bucket": "10"})
    assert refused.json is not None
    assert (refused.status_code, refused.json["fix"][:22]) == (400, "did you mean buckets? ")


def test_an_event_is_shown_among_its_neighbours(stored: Instance) -> None:
    event = search(stored, query="user_id:7")["events"][0]
    found = stored.get(f"/api/v1/logs/{event['id']}/context", "viewer", query_string={"before": "2", "after": "3"})
    assert found["event"] == event
    assert [each["message"] for each in found["before"]] == ["event 04", "event 06"]
    assert [each["message"] for each in found["after"]] == ["event 08", "event 09", "event 11"]
    assert stored.call("GET", "/api/v1/logs/0000000000000000-0-1/context").status_code == 404


def test_facets_show_the_commonest_values(stored: Instance) -> None:
    found = stored.get("/api/v1/logs/facets", "viewer", query_string={"fields": "service,user_id,level", "limit": "1"})
    service, user, level = found["facets"]
    assert (service["values"], service["distinct"]) == ([{"value": "web", "count": 20}], 2)
    assert (user["distinct"], user["sampled"], user["events"]) == (25, False, 25)
    assert level["values"] == [{"value": "INFO", "count": 20}]


@pytest.mark.parametrize("fields", ["", ",", "a,,b", ",".join(f"f{number}" for number in range(30)), "x" * 300])
def test_a_list_of_fields_that_is_none_is_refused(stored: Instance, fields: str) -> None:
    answer = stored.call("GET", "/api/v1/logs/facets", query_string={"fields": fields})
    assert answer.json is not None
    assert (answer.status_code, answer.json["field"]) == (400, "fields")


def test_statistics_are_told_for_each_group(stored: Instance) -> None:
    found = stored.get("/api/v1/logs/stats", "viewer", query_string={
        "query": "event", "group_by": "service,time", "aggregate": "count,max(user_id)", "buckets": "1",
    })  # fmt: skip
    assert [row["values"] for row in found["rows"]] == [
        {"count": 8, "max(user_id)": 9}, {"count": 2, "max(user_id)": 5},
        {"count": 12, "max(user_id)": 24}, {"count": 3, "max(user_id)": 20},
    ]  # fmt: skip
    assert found["rows"][0]["group"] == {"service": "web", "time": "2026-09-21T14:13:00Z"}
    assert (found["groups"], found["approximate"], found["interval_seconds"]) == (4, False, 30)
    assert stored.get("/api/v1/logs/stats", "viewer")["rows"] == [{"group": {}, "values": {"count": 25}}]


@pytest.mark.parametrize("aggregate", ["", ",", "median(x)", "p95", "p100(x)", "max(service)", "max()", "count x"])
def test_an_aggregate_that_is_none_is_refused(stored: Instance, aggregate: str) -> None:
    answer = stored.call("GET", "/api/v1/logs/stats", query_string={"aggregate": aggregate})
    assert answer.json is not None
    assert (answer.status_code, answer.json["field"]) == (400, "aggregate")


def test_an_export_is_all_that_matches_in_either_format(stored: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.api.export.EXPORT_PAGE", 4)
    answer = stored.call("GET", "/api/v1/logs/export", "viewer", query_string={"query": "event"})
    assert answer.mimetype == "application/x-ndjson"
    events = [orjson.loads(line) for line in answer.data.splitlines()]
    assert events == search(stored, order="oldest")["events"]
    answer = stored.call("GET", "/api/v1/logs/export", query_string={"format": "csv", "order": "newest"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["message"] for row in rows] == [f"event {number:02d}" for number in range(24, -1, -1)]
    assert orjson.loads(rows[0]["attributes"]) == {"user_id": 24}
    for wrong in ({"format": "xml"}, {"query": "level:"}, {"order": "up"}):
        assert stored.call("GET", "/api/v1/logs/export", query_string=wrong).status_code == 400


def test_an_export_goes_on_past_the_time_limit_of_a_page(stored: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    deadlines = iter([Deadline(0), Deadline(0)])
    monkeypatch.setattr("monitoring.api.asking.deadline", lambda runtime: next(deadlines, Deadline(60)))
    answer = stored.call("GET", "/api/v1/logs/export", query_string={"query": "message:/event/"})
    assert len(answer.data.splitlines()) == 25


def test_too_many_queries_at_once_are_told_to_come_back_and_ingest_goes_on(stored: Instance) -> None:
    gate = stored.runtime.gate
    with contextlib.ExitStack() as stack:
        for _ in range(QUERIES_AT_ONCE):
            stack.enter_context(gate.entered())
        gate._waiting = 0  # nobody may wait, so that the test need not
        answer = stored.call("GET", "/api/v1/logs")
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1
        assert stored.post(b'{"message":"still taken in"}').status_code == 202
    assert stored.call("GET", "/api/v1/logs").status_code == 200


def test_an_export_that_is_not_read_to_its_end_gives_its_place_back(stored: Instance) -> None:
    gate = stored.runtime.streams_gate
    for _ in range(STREAMS_AT_ONCE + 5):
        answer = stored.call("GET", "/api/v1/logs/export", buffered=False)
        assert answer.status_code == 200
        answer.close()
    assert gate._free == STREAMS_AT_ONCE
