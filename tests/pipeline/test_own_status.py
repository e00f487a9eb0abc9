"""The product's rules about itself on a real store, bus and control.db: what each goes by, and that they tell."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from monitoring.consumers.alerts import Evaluating
from monitoring.pipeline.alerts.defaults import defaults
from monitoring.pipeline.alerts.rule import FACTS
from monitoring.pipeline.drops import DROP_REASONS
from monitoring.pipeline.events.event import Rejected
from monitoring.pipeline.own_status import look
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.alerts import Alerts
from monitoring.pipeline.store.catalog import segment_path
from monitoring.pipeline.store.observing import Observing
from monitoring.pipeline.store.rises import Rises
from tests.frames import Sender, event
from tests.instance import Instance

SECOND = 10**9
HOUR = 3600 * SECOND


class Own(Instance):
    """An instance whose first partition gets frames by hand, and a clock for its rules."""

    def send(self, sender: Sender, count: int, *, rejected: int = 0, ago_seconds: float = 0.0) -> None:
        sender.created = time.time_ns() - int(ago_seconds * SECOND)
        letters = [Rejected("no JSON", b"{", "here", number) for number in range(rejected)]
        frame = sender.frame([event(number) for number in range(count)], letters)
        self.runtime.transport.publish("logs", 0, frame.lane, [frame])

    def settle(self) -> None:
        with self.draining():
            ends = time.monotonic() + 30
            while self.streams.length("logs", 0) and time.monotonic() < ends:
                time.sleep(0.01)

    def values(self, fact: str, now_ns: int = 0) -> dict[str, float | None]:
        chosen: Settings = self.runtime.settings
        found = look(fact, chosen, self.catalog, self.streams, Rises(self.runtime.control), now_ns=now_ns or self.now())
        return {" ".join(labels.values()): value for labels, value in found}

    def now(self) -> int:
        return time.time_ns()

    def rules(self, now_ns: int) -> set[str]:
        """Evaluate the rules about itself as the alerts job does; names of active alerts."""
        control, store = self.runtime.control, self.runtime.store
        sources = Observing(self.runtime.settings, control, store=store, streams=lambda: self.streams)
        job = Evaluating(self.runtime.settings, control, sources, list, now_ns=lambda: now_ns)
        job.defaults = [rule for rule in defaults() if rule.kind == "status"]
        job.run()
        return {alert.rule for alert in Alerts(control).all(("active",))}


@pytest.fixture
def own(tmp_path: Path, valkey: str) -> Iterator[Own]:
    made = Own(tmp_path / "data", valkey)
    yield made
    made.close()


def test_every_fact_has_a_rule_that_is_there_from_the_start() -> None:
    assert sorted(rule.expr for rule in defaults() if rule.kind == "status") == sorted(FACTS)


def test_what_is_wrong_with_ingest_is_told_while_ingest_stands_still(own: Own) -> None:
    now = own.now()
    assert own.rules(now) == set()
    sender = Sender(1)
    own.send(sender, 1, ago_seconds=100)
    assert (own.values("ingest_lag_seconds")["logs"] or 0) >= 100
    assert own.rules(now + 60 * SECOND) == {"Ingest is behind"}
    own.settle()
    sender.dropped = {"shed": 2, "whatever": 3}
    own.send(sender, 1, rejected=101)
    own.settle()
    with contextlib.closing(apsw.Connection(str(segment_path(own.data, "logs", 0, 1)))) as connection:
        connection.execute("UPDATE mark SET accounted = accounted - 1 WHERE through > 0")
    own.rules(now + 120 * SECOND)
    assert own.rules(now + 300 * SECOND) == {"Events dead-lettered", "Events dropped", "Books do not balance"}
    shown = {alert.texts["summary"] for alert in Alerts(own.runtime.control).all(("active",))}
    assert "Producers dropped 2 logs in the last hour: shed" in shown
    assert "Producers dropped 3 logs in the last hour: other" in shown
    assert "101 dead letters of logs in the last hour" in shown
    assert own.rules(now + 300 * SECOND + HOUR) == {"Books do not balance"}


def test_a_disk_is_told_of_before_its_reserve_is_reached(tmp_path: Path, valkey: str) -> None:
    reserve = shutil.disk_usage(tmp_path).free * 2 // 3
    with contextlib.closing(Own(tmp_path / "data", valkey, MONITORING_DISK_RESERVE=str(reserve))) as own:
        (free,) = own.values("disk_free_reserves").values()
        assert free is not None and 1 < free < 2
        assert own.rules(own.now()) == {"Disk reserve nearly reached"}


def test_without_a_reserve_nothing_is_said_of_the_disk(own: Own) -> None:
    assert own.values("disk_free_reserves") == {"": None}


def test_a_counter_rises_by_what_was_seen_of_it_within_the_window(own: Own) -> None:
    rises, now = Rises(own.runtime.control), own.now()

    def last(minutes: int, **totals: int) -> dict[str, int]:
        return rises.last("x", totals, now_ns=now + minutes * 60 * SECOND, window_ns=HOUR)

    assert last(0, old=7) == {"old": 0}  # whenever that was
    assert last(1, old=7, new=2) == {"old": 0, "new": 2}
    assert last(2, old=9, new=2) == {"old": 2, "new": 2}
    assert last(3, old=1) == {"old": 2, "new": 2}  # what it counted has expired
    assert last(63, old=4) == {"old": 3, "new": 0}
    assert last(124, old=4) == {"old": 0, "new": 0}
    assert last(200, old=5) == {"old": 1, "new": 0}
    rows = own.runtime.control.rows("SELECT count(*) FROM rise")
    assert rows == [(3,)]  # the last of each, and that there was a look
    assert rises.last("y", {}, now_ns=now, window_ns=HOUR) == {}
    assert rises.last("y", {"first": 3}, now_ns=now + 1, window_ns=HOUR) == {"first": 3}


def test_the_runbook_explains_every_reason_for_which_producers_drop() -> None:
    text = (Path(__file__).parents[2] / "docs" / "runbooks.md").read_text()
    assert [reason for reason in (*DROP_REASONS, "other") if f"| `{reason}` |" not in text] == []
