"""`GET /metrics`: one scrape shows the whole instance, in both text formats."""

from __future__ import annotations

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

from monitoring.api.app import create_app
from monitoring.pipeline.store.control import FILE_NAME
from monitoring.pipeline.vitals import FAMILIES, vitals
from tests.alarm import an_alert
from tests.instance import Instance


def test_a_scrape_shows_what_was_stored_and_asked_whichever_process_did_it(instance: Instance) -> None:
    an_alert(instance.data / FILE_NAME)
    other = create_app(instance.settings)  # as another process would have it
    headers = {"Authorization": f"Bearer {instance.keys['viewer']}"}
    with instance.draining():
        instance.post(b'{"message":"a"}\nbroken')
        assert instance.messages(1) == ["a"]
    for _ in range(3):
        assert other.test_client().get("/api/v1/logs?query=a", headers=headers).status_code == 200
    other.extensions["monitoring"].tally.flush()
    text = instance.call("GET", "/metrics", "viewer").text
    found = {family.name: family for family in parse(text)}
    assert set(found) <= {family.name for family in FAMILIES}
    assert {sample.labels["state"]: sample.value for sample in found["monitoring_alerts"].samples}["active"] == 1
    assert {sample.labels["state"]: sample.value for sample in found["monitoring_notices"].samples} == {
        "waiting": 1, "sent": 0, "failed": 0, "dropped": 0,
    }  # fmt: skip
    assert {sample.labels["state"] for sample in found["monitoring_rules"].samples} >= {"error"}
    committed = sum(sample.value for sample in found["monitoring_events_committed"].samples)
    dead = sum(sample.value for sample in found["monitoring_events_dead_lettered"].samples)
    assert (committed, dead) == (1, 1)
    searches = [s.value for s in found["monitoring_http_requests"].samples if s.labels["route"] == "/api/v1/logs"
                and s.labels["method"] == "GET"]  # fmt: skip
    assert sum(searches) >= 4
    assert "monitoring_query_duration_seconds" in found
    assert found["monitoring_up"].samples[0].value == 1
    other.extensions["monitoring"].close()


def test_a_scrape_is_open_to_all_and_names_nobody_and_nothing_that_was_written(instance: Instance) -> None:
    an_alert(instance.data / FILE_NAME, name="Secretrule", host="secrethost")
    with instance.draining():
        instance.post(
            b'{"message":"secrettext","service":"secretservice","host":"secrethost","attributes":{"secret":1}}'
        )
        instance.messages(1)
    instance.get("/api/v1/logs?query=secrettext")
    answer = instance.call("GET", "/metrics", None)
    assert answer.status_code == 200
    assert "secret" not in answer.text


def test_reasons_of_drops_that_are_not_our_own_are_counted_without_their_text() -> None:
    partition = {"signal": "logs", "partition": 0, "lag": None, "dropped": {"secret": 2, "secret2": 1, "shed": 4}}
    status = {"problems": [], "partitions": [partition], "drains": 0, "rules": {"states": {}}}
    found = vitals(status, {}, {}, {}, {}, {}).values["monitoring_events_dropped"]
    assert found == {("logs", "0", "other"): 3, ("logs", "0", "shed"): 4}


def test_openmetrics_is_spoken_where_it_is_asked_for(instance: Instance) -> None:
    answer = instance.call("GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.mimetype == "application/openmetrics-text"
    assert answer.text.endswith("# EOF\n")
    assert {family.name for family in parse_open(answer.text)} <= {family.name for family in FAMILIES}


def test_a_scrape_works_while_the_bus_is_away_and_says_so(instance: Instance) -> None:
    instance.runtime.settings = instance.settings.replace(bus_url="unix:///nowhere/at/all")
    assert "monitoring_up 0.0" in instance.call("GET", "/metrics").text
