"""Silences, maintenance windows over changes of the clock, inhibition; and a week in seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.alerts import lifecycle
from monitoring.pipeline.alerts.observation import Finding
from monitoring.pipeline.alerts.quiet import Quiet
from monitoring.pipeline.alerts.rule import Escalation, Inhibition, Rule, RuleInvalid
from monitoring.pipeline.alerts.silence import matcher_of, matchers_of, matches, shown
from monitoring.pipeline.alerts.telling import tell
from monitoring.pipeline.alerts.window import window_of

SECOND = 1_000_000_000
MINUTE = 60 * SECOND


def ns(text: str, zone: str = "Europe/Berlin") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * SECOND


def window(**members):
    return window_of({"name": "w", "matchers": ["rule=r"], "time_zone": "Europe/Berlin", **members})


def an_alert(rule="r", **labels):
    alert, _ = lifecycle.observe(None, Rule(rule, "metric", threshold=1.0), Finding(labels, 5.0), 10**18)
    assert alert is not None
    return alert


def test_a_window_begins_by_the_clocks_of_its_zone_in_summer_and_winter():
    nightly = window(start="02:00", duration="90m", days=["sat"])
    for day in ("2026-01-10", "2026-07-11"):
        assert nightly.active(ns(f"{day}T02:00:00")) and nightly.active(ns(f"{day}T03:29:59"))
        assert not nightly.active(ns(f"{day}T01:59:59")) and not nightly.active(ns(f"{day}T03:30:00"))
    assert not nightly.active(ns("2026-01-11T02:30:00"))


def test_a_window_over_midnight_lasts_into_the_next_day():
    late = window(start="23:00", duration="3h", days=["fri"])
    assert late.active(ns("2026-07-11T01:30:00")) and not late.active(ns("2026-07-12T01:30:00"))


def test_where_the_clock_skips_the_beginning_the_window_begins_with_the_jump():
    early = window(start="02:30", duration="1h")  # 2026-03-29 has no 02:30 in Berlin: 02:00 is 03:00
    jump = ns("2026-03-29T03:00:00")
    assert not early.active(jump - SECOND)
    assert early.active(jump) and early.active(jump + 59 * MINUTE) and not early.active(jump + 60 * MINUTE)


def test_where_the_clock_shows_the_beginning_twice_the_window_begins_the_first_time():
    autumn = window(start="02:30", duration="2h")  # 2026-10-25: 02:00 to 03:00 come twice
    first = int(datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()) * SECOND
    assert not autumn.active(first - SECOND)
    assert autumn.active(first) and autumn.active(first + 119 * MINUTE) and not autumn.active(first + 120 * MINUTE)


@given(
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
    st.integers(0, 23), st.integers(0, 59), st.integers(1, 2000), st.integers(0, 730),
)  # fmt: skip
def test_every_day_has_exactly_one_window_of_its_real_length(zone, hour, minute, length, day):
    made = window(start=f"{hour:02}:{minute:02}", duration=f"{length}m", time_zone=zone)
    date = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)).date()
    begin = made.begins(date)
    assert begin is not None
    at = int(begin.timestamp()) * SECOND
    assert begin.astimezone(ZoneInfo(zone)).date() == date
    assert made.active(at) and made.active(at + (length * 60 - 1) * SECOND)
    assert (made.ends(at) or 0) >= at + length * MINUTE


@pytest.mark.parametrize(
    ("members", "field"),
    [({"start": "25:00"}, "start"), ({"duration": "8d"}, "duration"), ({"time_zone": "Mars"}, "time_zone"),
     ({"time_zone": "../../etc/passwd"}, "time_zone"), ({"days": ["someday"]}, "days"), ({"matchers": []}, "matchers"),
     ({"from": "soon"}, "from")],
)  # fmt: skip
def test_an_error_in_a_window_names_the_member(members, field):
    with pytest.raises(RuleInvalid) as caught:
        window(**{"start": "02:00", "duration": "1h", **members})
    assert caught.value.field == field


def test_a_matcher_matches_labels_rule_and_severity_and_what_is_absent_is_empty():
    alert = an_alert(host="web-1")
    assert matches(matchers_of(["rule=r", "host=~web-.*", "severity=warning", "team="]), alert)
    assert not matches(matchers_of(["host=web"]), alert)
    assert not matches(matchers_of(["host!~web-.*"]), alert)
    alertmanagers = [
        {"name": "host", "value": "web-.*", "isRegex": True},
        {"name": "rule", "value": "x", "isEqual": False},
    ]
    assert shown(matchers_of(alertmanagers)) == ["host=~web-.*", "rule!=x"]
    assert shown(matchers_of({"host": "web-1"})) == ["host=web-1"]
    with pytest.raises(RuleInvalid):
        matcher_of("host=~(")


def test_an_alert_is_inhibited_by_one_with_the_same_labels_and_by_no_other():
    rule = Rule("r", "metric", threshold=1.0, inhibited_by=(Inhibition("down", ("host",)),))
    here, there = an_alert("down", host="a"), an_alert("down", host="b")
    alert = an_alert(host="a")
    assert here.id in Quiet(firing=[there, here]).why(alert, rule)
    assert Quiet(firing=[there]).why(alert, rule) == ""
    assert Quiet(firing=[an_alert("other", host="a")]).why(alert, rule) == ""


def test_a_week_with_a_change_of_the_clock_goes_as_the_rule_says():
    """An outage each day at noon and each night in the window; each minute is evaluated, with one clock."""
    rule = Rule(
        "r", "metric", threshold=1.0, hold_seconds=300, cooldown_seconds=3600, channels=("ops",),
        escalation=(Escalation(900, ("pager",)),),
    )  # fmt: skip
    nightly = window(start="02:30", duration="2h")
    zone = ZoneInfo("Europe/Berlin")
    at, end = ns("2026-10-22T00:00:00"), ns("2026-10-29T00:00:00")
    alert, told = None, []
    while at < end:
        local = datetime.fromtimestamp(at // SECOND, zone)
        down = (local.hour == 12 and local.minute < 40) or (nightly.active(at) and nightly.ends(at) - at > 90 * MINUTE)
        alert, _ = lifecycle.observe(alert, rule, Finding({}, 5.0 if down else 0.0), at)
        if alert is not None:
            quiet = Quiet(windows=[nightly] if nightly.active(at) else []).why(alert, rule)
            step = tell(alert, rule, at, quiet=quiet, default_channels=())
            alert = step.alert
            told += [(local.day, local.hour, local.minute, each.event, each.channels) for each in step.tellings]
        at += MINUTE
    assert [(day, hour) for day, hour, *_ in told if hour != 12] == []
    assert told == [
        entry
        for day in range(22, 29)
        for entry in (
            (day, 12, 5, "firing", ("ops",)), (day, 12, 20, "escalated", ("pager",)),
            (day, 12, 40, "resolved", ("ops", "pager")),
        )
    ]  # fmt: skip
