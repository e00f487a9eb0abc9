"""The alerts job on a real store, bus and control.db, with the clock as an argument."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from orjson import loads

from monitoring.consumers.alerts import Evaluating
from monitoring.consumers.due import AlertsDue
from monitoring.pipeline import settings
from monitoring.pipeline.alerts.backtest import backtest
from monitoring.pipeline.alerts.defaults import defaults
from monitoring.pipeline.alerts.observation import Finding, Observation
from monitoring.pipeline.alerts.reading import rule_of
from monitoring.pipeline.alerts.silence import matcher_of
from monitoring.pipeline.bus.streams import Streams, connect
from monitoring.pipeline.events.delta import Delta, family_text
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.store import rule_files
from monitoring.pipeline.store.alerts import Alerts
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.pipeline.store.evaluations import Evaluated, commit
from monitoring.pipeline.store.observing import Observing
from monitoring.pipeline.store.outbox import Notice, put
from monitoring.pipeline.store.rules import CLAIM_NS, Rules
from monitoring.pipeline.store.silences import Silences
from monitoring.pipeline.store.sqlite import open_store
from tests.frames import event
from tests.logstore import LogStore
from tests.metricstore import fill

SECOND = 1_000_000_000
MINUTE = 60 * SECOND


class Desk:
    """A store, a bus and a clock; `turn` runs the job at a later time."""

    def __init__(self, data: Path, url: str) -> None:
        self.now = (time.time_ns() // MINUTE) * MINUTE - 3600 * SECOND
        self.chosen = settings.load({"MONITORING_DATA_DIR": str(data), "MONITORING_BUS_URL": url})
        self.logs = LogStore(data)
        self.control = Control(data / FILE_NAME)
        self.control_path = data / FILE_NAME
        self.rules = Rules(self.control, now_ns=lambda: self.now)
        self.alerts = Alerts(self.control, now_ns=lambda: self.now)
        self.store = open_store(self.chosen)
        streams = Streams(connect(url))
        self.sources = Observing(self.chosen, self.control, store=self.store, streams=lambda: streams)
        self.late = 0
        self.sources.complete = lambda signal: self.now - self.late  # type: ignore[method-assign]  # the desk's clock
        for stored in self.rules.all():
            self.rules.remove(stored.rule.name, "test")

    def add(self, count: int, *, ago: int = 10, **fields: object) -> None:
        self.logs.add([event(n, timestamp=self.now - ago * SECOND + n, **fields) for n in range(count)])

    def rule(self, **members: object) -> None:
        self.rules.create(rule_of({"name": "r", "kind": "logs", "channels": ["ops"], **members}), "test")

    def turn(self, seconds: int = 60) -> int:
        self.now += seconds * SECOND
        job = Evaluating(self.chosen, self.control, self.sources, lambda: ["default"], now_ns=lambda: self.now)
        job.defaults = ()
        return job.run()["evaluated"]

    def states(self, *states: str) -> list[tuple[str, dict[str, str]]]:
        wanted = states or ("pending", "active", "acknowledged", "resolved")
        return [(alert.state, dict(alert.labels)) for alert in self.alerts.all(wanted)]

    def outbox(self) -> list[tuple[str, str, str]]:
        return [tuple(row) for row in self.control.rows("SELECT event, channel, key FROM outbox ORDER BY rowid")]

    def close(self) -> None:
        self.sources.close()
        self.store.close()
        self.control.close()
        self.logs.__exit__()


@pytest.fixture
def desk(tmp_path, valkey):
    with contextlib.closing(Desk(tmp_path, valkey)) as made:
        yield made


def test_a_rule_on_logs_fires_by_group_tells_its_channels_once_and_ends(desk):
    desk.rule(query="level:error", threshold=3, group_by=["service"], cooldown="0s")
    desk.add(5, level=17, service="shop")
    desk.add(2, level=17, service="mail")
    assert desk.turn() == 1
    assert desk.states() == [("active", {"service": "shop"})]
    alert = desk.alerts.all()[0]
    assert [(event, channel) for event, channel, _ in desk.outbox()] == [("firing", "ops")]
    assert desk.outbox()[0][2] == f"{alert.id}:2:ops"
    body = loads(desk.control.rows("SELECT body FROM outbox")[0][0])
    assert body["value"] == 5 and body["labels"] == {"service": "shop"} and len(body["samples"]) == 5
    assert body["links"]["alert"].endswith(f"/alerts/{alert.id}")
    assert desk.turn() == 1
    assert len(desk.outbox()) == 1
    desk.turn(300)
    assert desk.states() == [("resolved", {"service": "shop"})]
    assert [event for event, _, _ in desk.outbox()] == ["firing", "resolved"]
    kinds = [(entry["kind"], entry["to"]) for entry in desk.alerts.history(alert.id)]
    assert kinds == [("transition", "active"), ("notification", "active"), ("transition", "resolved"),
                     ("notification", "resolved")]  # fmt: skip


def test_each_rule_is_evaluated_once_an_interval(desk):
    desk.rule(query="level:error", threshold=3, interval="30s")
    assert [desk.turn(10) for _ in range(9)] == [1, 0, 1, 0, 0, 1, 0, 0, 1]  # at whole multiples of its interval
    assert desk.turn(0) == 0
    assert desk.turn(30) == 1
    assert desk.turn(0) == 0


def test_no_events_at_all_is_a_condition_too(desk):
    desk.rule(query="service:cron", condition="zero", window="10m")
    desk.add(1, service="cron")
    desk.turn()
    assert desk.states() == []
    desk.turn(600)
    assert desk.states() == [("active", {})]


def test_a_group_that_was_there_and_has_no_events_any_more_counts_as_zero(desk):
    desk.rule(query="*", condition="zero", window="5m", group_by=["service"])
    desk.add(1, service="cron")
    desk.add(1, service="shop")
    desk.turn()
    desk.now += 280 * SECOND
    desk.add(1, service="shop")
    desk.turn()
    assert desk.states() == [("active", {"service": "cron"})]


def test_a_message_of_a_new_kind_is_an_alert_and_known_ones_are_none(desk):
    desk.rule(query="*", condition="new_pattern", window="5m")
    desk.add(3, message="job 1 finished in 12 ms")
    desk.turn()
    assert desk.states() == []
    desk.add(3, message="job 2 finished in 99 ms")
    desk.add(1, message="disk sda has failed")
    desk.turn()
    assert [labels["pattern"] for _, labels in desk.states("active")] == ["disk sda has failed"]
    desk.turn(300)
    assert [state for state, _ in desk.states()] == ["resolved"]
    desk.add(1, message="disk sda has failed")
    desk.turn()
    assert desk.states("active") == []


def test_a_service_that_was_there_for_long_enough_and_is_silent_is_an_alert(desk):
    desk.rule(kind="heartbeat", window="5m", established="10m")
    for _ in range(12):
        desk.add(1, service="shop")
        desk.turn()
    desk.add(1, service="script")
    for _ in range(3):
        desk.turn()
    assert desk.states() == []
    desk.turn()
    assert desk.states() == [("active", {"service": "shop"})]
    assert desk.alerts.all()[0].value >= 300
    desk.add(1, service="shop")
    desk.turn()
    assert desk.states("active") == []


def test_late_data_make_a_rule_stale_and_end_nothing(desk):
    desk.rule(query="level:error", threshold=3, window="1m")
    desk.add(5, level=17)
    desk.turn(5)
    assert desk.states() == [("active", {})]
    desk.late = 120 * SECOND
    desk.turn(180)
    assert desk.states() == [("active", {})]
    assert desk.rules.get("r").status == "firing" and "behind" in desk.rules.get("r").note
    desk.alerts.resolve(desk.alerts.all()[0].id, "ann")
    desk.turn(60)
    assert desk.rules.get("r").status == "stale"


def test_a_rule_that_fails_says_so_and_the_others_go_on(desk):
    broken = 'label_replace(vector(1), "a", "$1", "b", "(")'
    desk.rules.create(rule_of({"name": "broken", "kind": "metric", "expr": broken}), "test")
    desk.rule(query="level:error", threshold=3)
    desk.add(5, level=17)
    assert desk.turn() == 2
    assert desk.rules.get("broken").status == "error" and desk.rules.get("broken").note
    assert desk.states() == [("active", {})]


def test_an_alert_under_a_silence_is_told_when_that_ends(desk):
    desk.rule(query="level:error", threshold=3, window="1h")
    silences = Silences(desk.control, now_ns=lambda: desk.now)
    silence = silences.add([matcher_of("rule=r")], desk.now, desk.now + 600 * SECOND, "ann", "known")
    desk.add(5, level=17)
    desk.turn()
    alert = desk.alerts.all()[0]
    assert alert.state == "active" and silence.id in alert.held and desk.outbox() == []
    silences.expire(silence.id)
    desk.turn()
    assert [event for event, _, _ in desk.outbox()] == ["firing"]


def test_nobody_acknowledges_and_the_next_channel_is_told(desk):
    desk.rule(query="level:error", threshold=3, window="1h",
              escalation=[{"after": "5m", "channels": ["pager"]}, {"after": "10m", "channels": ["boss"]}])  # fmt: skip
    desk.add(5, level=17)
    for _ in range(7):
        desk.turn()
    assert [(event, channel) for event, channel, _ in desk.outbox()] == [("firing", "ops"), ("escalated", "pager")]
    desk.alerts.acknowledge(desk.alerts.all()[0].id, "ann", "on it")
    for _ in range(7):
        desk.turn()
    told = [(event, channel) for event, channel, _ in desk.outbox()]
    assert told[2:] == [("acknowledged", "ops"), ("acknowledged", "pager")]


def test_a_rule_that_is_switched_off_ends_its_alerts_and_says_so(desk):
    desk.rule(query="level:error", threshold=3)
    desk.add(5, level=17)
    desk.turn()
    desk.rules.enable("r", "ann", enabled=False)
    assert [state for state, _ in desk.states()] == ["resolved"]
    assert [event for event, _, _ in desk.outbox()] == ["firing", "resolved"]
    assert desk.turn() == 0


def test_what_was_evaluated_by_an_old_rule_is_dropped(desk):
    desk.rule(query="level:error", threshold=3)
    claimed = desk.rules.claim(10)
    desk.rules.replace("r", rule_of({"name": "r", "kind": "logs", "query": "x", "threshold": 9}), "ann")
    seen = Observation(desk.now, {"x": Finding({}, 99.0)}, 0.0)
    assert commit(desk.control, [Evaluated(claimed[0], seen)], desk.now, base_url="", default_channels=()) == 0
    assert desk.states() == []


@pytest.mark.parametrize("point", ["alerts_before_commit", "alerts_after_commit"])
def test_a_job_that_is_killed_leaves_all_or_nothing_and_the_next_one_goes_on(desk, tmp_path, point):
    desk.rule(query="level:error", threshold=3, interval="5s", window="1h")
    desk.now = time.time_ns()
    desk.add(5, level=17)
    failpoints = tmp_path / "failpoints"
    failpoints.mkdir()
    (failpoints / point).touch()
    program = """
        import os, sys
        from pathlib import Path
        from monitoring.consumers import alerts
        from monitoring.pipeline import failpoint, settings
        failpoint.arm(Path(sys.argv[1]))
        alerts.run(settings.load())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(failpoints)],
        env={**os.environ, "MONITORING_DATA_DIR": str(tmp_path),
             "MONITORING_BUS_URL": str(desk.chosen.text("bus_url"))},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == -9, done.stderr
    committed = point == "alerts_after_commit"
    assert bool(desk.states()) == bool(desk.outbox()) == committed
    assert bool(desk.control.rows("SELECT * FROM transition")) == committed
    desk.now = time.time_ns()
    desk.turn(61)
    assert desk.states() == [("active", {})]
    assert [event for event, _, _ in desk.outbox()] == ["firing"]


def test_several_workers_share_what_is_due_and_each_rule_is_evaluated_once(desk):
    for number in range(20):
        desk.rules.create(rule_of({"name": f"r{number}", "kind": "logs", "query": "x", "threshold": 1}), "test")
    desk.now += SECOND
    claims = [desk.rules.claim(7) for _ in range(4)]
    names = [stored.rule.name for claim in claims for stored in claim]
    assert [len(claim) for claim in claims] == [7, 7, 6, 0] and len(set(names)) == 20
    desk.now += CLAIM_NS  # their workers have died
    assert sum(desk.turn(0) for _ in range(2)) == 20


def test_a_rule_that_cannot_be_told_by_its_own_channel_is_told_by_the_others(desk):
    desk.rules.add_defaults([rule for rule in defaults() if rule.kind == "delivery"])
    with desk.control.transaction() as connection:
        put(connection, [Notice("k", "default", "firing", "g", b"{}", desk.now)], desk.now)
        connection.execute("UPDATE outbox SET state = 'failed', ended = ?", (desk.now,))
    desk.turn()
    assert desk.states() == [("active", {"channel": "default"})]
    told = desk.control.rows("SELECT event FROM outbox WHERE key <> 'k'")
    assert told == []  # there is no other channel here
    assert "no channels" in desk.alerts.history(desk.alerts.all()[0].id)[-1]["note"]
    desk.turn(3601)
    assert desk.states("active") == []


def test_two_rules_that_fire_together_and_one_explains_the_other(desk):
    desk.rule(name="down", query="level:error", threshold=1, group_by=["host"])
    desk.rules.create(rule_of({"name": "slow", "kind": "logs", "query": "level:error", "threshold": 1,
                               "group_by": ["host"], "channels": ["ops"],
                               "inhibited_by": [{"rule": "down", "equal": ["host"]}]}), "test")  # fmt: skip
    desk.add(3, level=17)
    desk.turn()
    assert len(desk.states("active")) == 2
    assert [(event, channel) for event, channel, _ in desk.outbox()] == [("firing", "ops")]
    assert [alert.held.startswith("inhibited by down") for alert in desk.alerts.all(rule="slow")] == [True]


def test_a_series_without_data_is_an_alert_where_the_rule_says_so(desk):
    values = {"vector": [({"host": "a", "__name__": "up"}, 1.0)]}
    desk.sources.__dict__["metrics"] = type("Engine", (), {"vector": lambda self, *_: values["vector"],
                                                           "close": lambda self: None})()  # fmt: skip
    desk.rules.create(
        rule_of({"name": "r", "kind": "metric", "expr": "up", "threshold": 5, "no_data": "alert"}), "test"
    )
    desk.turn()
    assert desk.states() == []
    values["vector"] = []
    desk.turn()
    assert desk.states() == [("active", {"host": "a"})]
    assert "no data" in desk.alerts.all()[0].texts["summary"]
    values["vector"] = [({"host": "a"}, 1.0)]
    desk.turn()
    assert desk.states() == [("resolved", {"host": "a"})]


def test_a_service_that_was_taken_out_of_use_is_forgotten_when_its_alert_is_resolved_by_hand(desk):
    desk.rule(kind="heartbeat", window="5m", cooldown="0s")
    desk.add(1, service="shop")
    desk.turn()
    desk.turn(600)
    assert desk.states() == [("active", {"service": "shop"})]
    desk.alerts.resolve(desk.alerts.all()[0].id, "ann", "gone for good")
    for _ in range(3):
        desk.turn(600)
        assert desk.states("active") == []
    desk.add(1, service="shop")
    desk.turn()
    desk.turn(600)
    assert desk.states("active") == [("active", {"service": "shop"})]


def test_the_example_of_the_documentation_works(desk):
    page = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()
    example = page.partition("```yaml\n")[2].partition("```")[0]
    where = desk.chosen.data / "rules"
    where.mkdir()
    (where / "shop.yaml").write_text(example)
    desk.add(3, level=17, service="shop", message="card refused")
    assert desk.turn() == 1
    assert [file.errors for file in rule_files.files(desk.control)] == [[]]
    alert = desk.alerts.all()[0]
    assert (alert.state, alert.texts["summary"]) == ("active", "3 errors of shop in 5 minutes")
    assert "card refused" in alert.texts["description"]
    assert [(event, channel) for event, channel, _ in desk.outbox()] == [("firing", "default")]


def test_metrics_are_signs_of_life_live_and_in_a_backtest(desk):
    family = family_text(name="process_count", kind="gauge", across="sum")
    minutes = [desk.now - 600 * SECOND + number * MINUTE for number in range(11)]
    deltas = [Delta(at, 10 * SECOND, "shop", "", "", "h1", family, "{}", "1") for at in minutes]
    fill(desk.chosen.data, deltas, desk.now)
    desk.add(1, ago=590, service="mail")
    desk.rule(kind="heartbeat", window="5m", group_by=["service"])
    rule = desk.rules.get("r").rule
    states = []
    for _ in range(9):
        desk.turn()
        states.append({labels["service"] for state, labels in desk.states("active")})
    assert states[0] == {"mail"} and states[3] == {"mail"} and states[-1] == {"mail", "shop"}
    tested = backtest(rule, desk.sources, desk.now - 1200 * SECOND, desk.now, Deadline(30))
    firings = {firing.labels["service"]: firing for firing in tested.firings}
    assert set(firings) == {"mail", "shop"}
    lived = {alert.labels["service"]: alert.activated for alert in desk.alerts.all()}
    assert abs(firings["shop"].active - lived["shop"]) <= MINUTE
    assert firings["mail"].active < firings["shop"].active - 300 * SECOND
    assert [note for note in tested.notes if "metrics since" in note]


def test_rules_are_due_at_once_when_a_clock_that_was_ahead_is_set_right(desk):
    """Else nobody would be told of anything until the clock has come that far again."""
    hours = 11 * 3600
    due = AlertsDue(desk.chosen, desk.control, now_ns=lambda: desk.now)
    desk.rule(threshold=1, interval="5s")
    assert desk.turn() == 1 and desk.turn(hours) == 1
    desk.now -= hours * SECOND
    assert due._rules_due()
    assert desk.turn(0) == 1 and desk.turn(0) == 0  # once, and then as always
    desk.now += hours * SECOND
    assert len(desk.rules.claim(10)) == 1  # by a worker that dies
    desk.now -= hours * SECOND
    assert desk.turn(5) == 1
    desk.now += 5 * SECOND
    assert len(desk.rules.claim(10)) == 1
    assert desk.rules.claim(10) == [] and not due._rules_due()  # somebody is at it
