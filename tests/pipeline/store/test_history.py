"""History and audit log are bounded by age, and by nothing else."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from monitoring.pipeline.clock import DAY_NS
from monitoring.pipeline.store.alerts import Alerts
from monitoring.pipeline.store.audit import Audit, Wanted
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.pipeline.store.history import Expired, expire
from tests.alarm import an_alert

NOW = time.time_ns()
AGE = 40 * 86_400.0


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    with contextlib.closing(Control(tmp_path / FILE_NAME)) as control:
        yield control


def never() -> bool:
    return False


def test_what_is_too_old_goes_and_the_log_says_so_once_a_day(control: Control) -> None:
    for days in (100, 60, 41, 39, 1):
        Audit(control, now_ns=lambda days=days: NOW - days * DAY_NS).record(None, "somebody", "x", f"{days}")  # type: ignore[misc]  # bound here
    assert expire(control, AGE, now_ns=NOW, stopped=never).audit == 3
    kept = Audit(control).find(Wanted(), limit=10)
    assert [entry.object for entry in kept] == ["MONITORING_HISTORY_AGE", "1", "39"]
    assert (kept[0].action, kept[0].after["entries"]) == ("audit.expire", 3)
    assert (
        expire(control, AGE, now_ns=NOW + DAY_NS + 1, stopped=never) == Expired()
    )  # that of 39 days waits for its day
    assert expire(control, AGE, now_ns=NOW + 3 * DAY_NS, stopped=never).audit == 1


def test_an_alert_that_ended_goes_with_its_history_and_an_open_one_keeps_all(control: Control) -> None:
    alerts = Alerts(control)
    ended, open_one, commented = (an_alert(control.path, name=name)[0] for name in ("ended", "open", "commented"))
    alerts.resolve(ended, "somebody")
    alerts.resolve(commented, "somebody")
    later = Alerts(control, now_ns=lambda: NOW + 50 * DAY_NS)
    later.comment(commented, "somebody", "it was the cache")
    with pytest.raises(apsw.ConstraintError, match="history is kept"), control.transaction() as connection:
        connection.execute("DELETE FROM transition")  # nobody can, before 30 days have passed
    with control.transaction() as connection:  # as if they had
        connection.execute("DROP TRIGGER transition_remains")
    gone = expire(control, AGE, now_ns=NOW + 60 * DAY_NS, stopped=never)
    assert (gone.alerts, gone.silences) == (1, 3)
    assert {alert.id for alert in alerts.all(("active", "resolved"))} == {open_one, commented}
    assert control.rows("SELECT count(*) FROM transition WHERE alert = ?", ended) == [(0,)]
    assert len(alerts.history(open_one)) == 2


def test_only_what_is_older_than_a_month_can_be_deleted(control: Control) -> None:
    Audit(control, now_ns=lambda: NOW - 31 * DAY_NS).record(None, "somebody", "old", "")
    Audit(control, now_ns=lambda: NOW - 29 * DAY_NS).record(None, "somebody", "young", "")
    with control.transaction() as connection:
        connection.execute("DELETE FROM audit WHERE action = 'old'")
    with pytest.raises(apsw.ConstraintError, match="append-only"), control.transaction() as connection:
        connection.execute("DELETE FROM audit WHERE action = 'young'")


def test_a_stop_ends_it_between_two_transactions(control: Control) -> None:
    Audit(control, now_ns=lambda: NOW - 100 * DAY_NS).record(None, "somebody", "x", "")
    assert expire(control, AGE, now_ns=NOW, stopped=lambda: True) == Expired()
