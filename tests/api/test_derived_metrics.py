"""Metrics derived from logs over HTTP: what is defined is shown, what cannot be says why."""

from __future__ import annotations

import pytest

from monitoring.pipeline.derived.definition import MAX_DEFINITIONS

PATH = "/api/v1/derived-metrics"
COUNTER = {"name": "errors_total", "kind": "counter", "query": "level:error", "labels": ["service"]}


def test_a_definition_is_made_shown_replaced_and_removed_and_the_audit_log_says_so(instance) -> None:
    assert instance.call("POST", PATH, "operator", json=COUNTER).status_code == 201
    assert instance.call("POST", PATH, "operator", json=COUNTER).status_code == 409
    changed = instance.call("PUT", f"{PATH}/errors_total", json={"kind": "counter", "query": "*", "field": "n"})
    assert (changed.status_code, changed.json["field"], changed.json["labels"]) == (200, "n", [])
    assert instance.call("GET", f"{PATH}/errors_total", "viewer").json == changed.json
    assert instance.call("GET", PATH).json == {"derived_metrics": [changed.json], "errors": []}
    assert instance.call("DELETE", f"{PATH}/errors_total").json == changed.json
    assert instance.call("DELETE", f"{PATH}/errors_total").status_code == 404
    entries = instance.call("GET", "/api/v1/audit?action=derived-metric.*").json["entries"]
    assert [entry["action"].partition(".")[2] for entry in entries] == ["remove", "save", "create"]
    assert entries[1]["before"]["query"] == "level:error"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "9x"}, "name"),
        ({"kind": "gauge"}, "kind"),
        ({"query": "level:eror"}, "query"),
        ({"query": None}, "query"),
        ({"kind": "histogram"}, "field"),
        ({"field": "service"}, "field"),
        ({"labels": "service"}, "labels"),
        ({"labels": ["a.b", "a-b"]}, "labels"),
        ({"labels": ["message"]}, "labels"),
        ({"bounds": [1]}, "bounds"),
        ({"kind": "histogram", "field": "ms", "bounds": [2, 1]}, "bounds"),
        ({"kind": "histogram", "field": "ms", "bounds": [True]}, "bounds"),
        ({"kind": "histogram", "field": "ms", "labels": ["le"]}, "labels"),
        ({"kind": "histogram", "field": "ms", "name": "x_count"}, "name"),
        ({"filter": "x"}, "filter"),
    ],
)
def test_a_definition_that_cannot_be_is_refused_and_the_member_named(instance, change, field) -> None:
    answer = instance.call("POST", PATH, json={**COUNTER, **change})
    assert (answer.status_code, answer.json["field"]) == (400, field)


def test_there_are_a_hundred_at_most(instance) -> None:
    for number in range(MAX_DEFINITIONS):
        assert instance.call("PUT", f"{PATH}/m{number}", json={"kind": "counter", "query": "*"}).status_code == 200
    answer = instance.call("POST", PATH, json=COUNTER)
    assert (answer.status_code, answer.json["field"]) == (400, "name")
    assert instance.call("PUT", f"{PATH}/m1", json={"kind": "counter", "query": "x"}).status_code == 200
