"""Prometheus' query API over what the store holds: its shapes, its errors, and its own client's questions."""

from __future__ import annotations

from typing import Any

import pytest

from monitoring.pipeline.store.control import FILE_NAME
from tests.alarm import an_alert
from tests.deltas import SECOND, T, delta, gauge
from tests.instance import Instance
from tests.metricstore import fill, grown

END = T // SECOND
ROOT = "/prometheus/api/v1"


@pytest.fixture
def stored(instance: Instance) -> Instance:
    """300 s of a counter of two channels, and a gauge."""
    fill(instance.data, [*grown(channel="web"), *grown(channel="app"), delta(0.25, family=gauge("max"), at=T)])
    return instance


def ask(instance: Instance, path: str, answered: int = 200, **query: Any) -> Any:
    answer = instance.call("GET", f"{ROOT}/{path}", "viewer", query_string=query)
    assert answer.status_code == answered, answer.text
    return answer.json


def test_an_instant_query_answers_a_vector_whose_values_are_text(stored: Instance) -> None:
    found = ask(stored, "query", query="sum by (channel) (rate(orders_total[1m]))", time=str(END))
    assert found["status"] == "success"
    assert found["data"]["resultType"] == "vector"
    assert sorted((each["metric"]["channel"], each["value"]) for each in found["data"]["result"]) == [
        ("app", [END, "0.5"]),
        ("web", [END, "0.5"]),
    ]


def test_a_range_query_answers_a_matrix_with_a_value_for_each_step(stored: Instance) -> None:
    found = ask(
        stored, "query_range", query='increase(orders_total{channel="web"}[1m])', start=END - 60, end=END, step=15
    )
    (series,) = found["data"]["result"]
    assert found["data"]["resultType"] == "matrix"
    assert [time for time, _ in series["values"]] == list(range(END - 60, END + 1, 15))
    assert {value for _, value in series["values"]} == {"30"}


@pytest.mark.parametrize(("text", "kind", "shown"), [("1 / 3", "scalar", "0.3333333333333333"), ('"a"', "string", "a")])
def test_scalars_and_texts_carry_the_time_that_was_asked_for(
    stored: Instance, text: str, kind: str, shown: str
) -> None:
    assert ask(stored, "query", query=text, time="12.5")["data"] == {"resultType": kind, "result": [12.5, shown]}


def test_a_form_is_read_like_the_address(stored: Instance) -> None:
    form = {"query": "count(orders_total)", "time": str(END)}
    for path, more in (("query", {}), ("query_range", {"start": END, "end": END, "step": "1m"})):
        answer = stored.call("POST", f"{ROOT}/{path}", "viewer", data=form | more)
        (series,) = (answer.json or {})["data"]["result"]
        assert (series.get("value") or series["values"][0])[1] == "2"


def test_labels_series_and_metadata_are_found(stored: Instance) -> None:
    assert ask(stored, "label/channel/values")["data"] == ["app", "web"]
    assert ask(stored, "label/channel/values", 200, **{"match[]": 'orders_total{channel=~"w.*"}'})["data"] == ["web"]
    assert {"__name__", "channel", "service"} <= set(ask(stored, "labels")["data"])
    names = ask(stored, "label/__name__/values")["data"]
    assert names == ["gauge_max", "orders_total"]
    found = ask(stored, "series", 200, **{"match[]": ["orders_total", "gauge_max"]})["data"]
    assert sorted(each["__name__"] for each in found) == ["gauge_max", "orders_total", "orders_total"]
    about = ask(stored, "metadata", metric="orders_total")["data"] or ask(stored, "metadata", metric="orders")["data"]
    assert [each["type"] for (each,) in about.values()] == ["counter"]
    assert ask(stored, "status/buildinfo")["data"]["version"].startswith("3.")


def test_a_limit_cuts_and_says_so(stored: Instance) -> None:
    found = ask(stored, "label/channel/values", limit=1)
    assert found["data"] == ["app"]
    assert found["warnings"] == ["results truncated due to limit"]
    for found in (
        ask(stored, "query", query="orders_total", time=END, limit=1),
        ask(stored, "query_range", query="orders_total", start=END - 60, end=END, step=30, limit=1),
    ):
        assert len(found["data"]["result"]) == 1
        assert found["warnings"] == ["results truncated due to limit"]
    assert "warnings" not in ask(stored, "query", query="orders_total", time=END, limit=2)


@pytest.mark.parametrize(
    ("path", "query", "status", "kind", "says"),
    [
        ("query", {"query": "sum("}, 400, "bad_data", 'invalid parameter "query": parse error'),
        (
            "query_range",
            {"query": "a[1m]", "start": 1, "end": 2, "step": 1},
            400,
            "bad_data",
            'invalid parameter "query": invalid expression type "range vector"',
        ),
        ("series", {"match[]": "a{"}, 400, "bad_data", 'invalid parameter "match[]": parse error'),
        ("query", {"query": "1", "time": "soon"}, 400, "bad_data", 'invalid parameter "time": cannot parse "soon"'),
        ("query", {"query": "1", "timeout": "x"}, 400, "bad_data", 'invalid parameter "timeout"'),
        ("query_range", {"query": "1", "start": 2, "end": 1, "step": 1}, 400, "bad_data", "must not be before start"),
        ("query_range", {"query": "1", "start": 1, "end": 2, "step": 0}, 400, "bad_data", "zero or negative"),
        ("query_range", {"query": "1", "start": 1, "end": 20_000, "step": 1}, 400, "bad_data", "11,000 points"),
        ("series", {}, 400, "bad_data", "no match[]"),
        ("labels", {"match[]": "1 + 1"}, 400, "bad_data", "not a vector selector"),
        ("labels", {"limit": "-1"}, 400, "bad_data", 'invalid parameter "limit"'),
        ("query", {"query": "orders_total + on(service) orders_total", "time": END}, 422, "execution", "many-to-many"),
        ("query", {"query": "orders_total", "time": END, "timeout": "0"}, 503, "timeout", ""),
    ],
)
def test_errors_have_prometheus_shape(
    stored: Instance, path: str, query: dict[str, Any], status: int, kind: str, says: str
) -> None:
    found = ask(stored, path, status, **query)
    assert (found["status"], found["errorType"]) == ("error", kind)
    assert says in found["error"]


def test_what_is_not_known_is_passed_over(stored: Instance) -> None:
    assert ask(stored, "query", query="1", dedup="true", partial_response="true")["status"] == "success"


def test_a_key_that_may_only_write_is_refused(stored: Instance) -> None:
    assert stored.call("GET", f"{ROOT}/query?query=1", "ingest").status_code == 403


def test_a_query_waits_its_turn_with_the_others(stored: Instance) -> None:
    gate = stored.runtime.gate
    with gate.entered():
        free = gate._free
        assert ask(stored, "query", query="1")["status"] == "success"
        assert gate._free == free


def test_rules_and_alerts_are_ours_in_prometheus_shape(instance: Instance) -> None:
    an_alert(instance.data / FILE_NAME)
    found = ask(instance, "alerts")["data"]["alerts"]
    assert [(each["state"], each["labels"]["alertname"], each["labels"]["host"]) for each in found] == [
        ("firing", "Sample", "web-1")
    ]
    assert float(found[0]["value"]) == 95.0
    chosen: dict[str, Any] = {"rule_name[]": "Sample"}
    (group,) = ask(instance, "rules", **chosen)["data"]["groups"]
    (rule,) = group["rules"]
    assert (group["name"], group["interval"], rule["type"], rule["state"]) == ("api", 86_400, "alerting", "firing")
    assert (rule["query"], rule["alerts"]) == ("logs: * over 5m >= 90", found)
    assert ask(instance, "rules", type="record")["data"] == {"groups": []}
    assert "alerts" not in ask(instance, "rules", exclude_alerts="true")["data"]["groups"][0]["rules"][0]
    assert ask(instance, "rules", 400, type="x")["errorType"] == "bad_data"


def test_what_clients_probe_for_is_an_empty_success(instance: Instance) -> None:
    assert ask(instance, "query_exemplars", query="up")["data"] == []
    assert ask(instance, "query_exemplars", 400, query="up{")["errorType"] == "bad_data"
    assert ask(instance, "targets")["data"]["activeTargets"] == []
    assert ask(instance, "status/flags")["data"]["query.timeout"] == "10s"
    assert ask(instance, "status/runtimeinfo")["data"]["storageRetention"] == "57w1d"


def test_an_expression_is_set_in_lines(instance: Instance) -> None:
    long = "sum by (job) (rate(a_total[5m])) / on (job) group_left sum by (job) (rate(b_total[5m])) > bool 0.5"
    assert ask(instance, "format_query", query="sum( up )")["data"] == "sum(up)"
    assert "\n" in ask(instance, "format_query", query=long)["data"]
    assert ask(instance, "format_query", query="up[1_0]")["data"] == "up[1_0]"
    assert ask(instance, "format_query", 400, query="sum(")["errorType"] == "bad_data"
