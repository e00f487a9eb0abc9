"""The life of an alert, over generated series and whatever people do meanwhile."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.alerts import lifecycle
from monitoring.pipeline.alerts.alert import OPEN
from monitoring.pipeline.alerts.observation import Finding
from monitoring.pipeline.alerts.rule import Rule
from monitoring.pipeline.alerts.telling import tell, tell_after
from monitoring.pipeline.errors import PermanentError

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND
MINUTE = 60 * SECOND
LEGAL = {
    ("", "pending"), ("", "active"), ("pending", "active"), ("pending", "resolved"), ("active", "acknowledged"),
    ("active", "resolved"), ("acknowledged", "resolved"), ("resolved", "pending"), ("resolved", "active"),
}  # fmt: skip


def rule(**members):
    return Rule("r", "metric", threshold=10.0, **members)


def found(value):
    return Finding({"host": "a"}, value)


rules = st.builds(
    rule,
    hold_seconds=st.sampled_from([0, 60, 180]),
    recovery=st.sampled_from([None, 5.0]),
    cooldown_seconds=st.sampled_from([0, 300]),
    no_data=st.sampled_from(["ok", "alert", "keep"]),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("value"), st.sampled_from([0.0, 4.0, 7.0, 10.0, 99.0, None])),
        st.tuples(st.just("missing"), st.none()),
        st.tuples(st.just("stale"), st.sampled_from([0.0, 99.0])),
        st.tuples(st.just("acknowledge"), st.none()),
        st.tuples(st.just("resolve"), st.none()),
        st.tuples(st.just("quiet"), st.sampled_from(["", "silence x"])),
        st.tuples(st.just("later"), st.sampled_from([60, 3600])),
    ),
    max_size=60,
)


class Story:
    """One group of a rule through a sequence of steps, a minute each."""

    def __init__(self, about):
        self.alert: Any = None
        self.rule, self.at, self.quiet = about, T0, ""
        self.entries, self.tellings, self.seen, self.number = [], [], [], 0

    def take(self, kind, value):
        if kind == "later":
            self.at += value * SECOND
        elif kind == "quiet":
            self.quiet = value
        elif kind in ("acknowledge", "resolve"):
            self.by_hand(kind)
        else:
            self.at += MINUTE
            finding = None if kind == "missing" else found(value)
            self.seen.append((self.at, kind, value))
            self.alert, entries = lifecycle.observe(self.alert, self.rule, finding, self.at, stale=kind == "stale")
            self.entries += [(self.at, each) for each in entries]
            if self.alert is not None:
                told = tell(self.alert, self.rule, self.at, quiet=self.quiet, default_channels=["ops"])
                self.alert = told.alert
                self.tellings += [(self.at, each.event, self.quiet) for each in told.tellings]

    def by_hand(self, kind):
        act = getattr(lifecycle, kind)
        before = self.alert
        try:
            self.alert, entries = act(before, "ann", "", self.at) if before else (None, [])
        except PermanentError:
            return
        if self.alert is not None:
            told = tell_after(before, self.alert, "by ann")
            self.alert = told.alert
            self.tellings += [(self.at, each.event, "") for each in told.tellings]
        self.entries += [(self.at, each) for each in entries]


@given(rules, steps)
def test_only_legal_transitions_happen_and_the_history_tells_every_one(about, story):
    told = Story(about)
    state = ""
    for step in story:
        before = len(told.entries)
        told.take(*step)
        for _, entry in told.entries[before:]:
            if entry.kind == "transition":
                fresh = entry.before == "" and state == "resolved"  # a new alert of the group, after a long while
                assert entry.before == state or fresh
                assert (entry.before, entry.after) in LEGAL
                state = entry.after
        assert (told.alert.state if told.alert else "") == state


@given(rules, steps)
def test_an_alert_becomes_active_only_after_its_condition_held_for_as_long_as_the_rule_says(about, story):
    told = Story(about)
    for step in story:
        before = len(told.entries)
        told.take(*step)
        for at, entry in told.entries[before:]:
            if entry.after == "active" and entry.before != "active":
                since = told.alert.started
                assert at - since >= about.hold_seconds * SECOND
                held = [(kind, value) for moment, kind, value in told.seen if since <= moment <= at]
                assert held
                for kind, value in held:
                    nothing = kind == "missing" or value is None
                    assert about.no_data != "ok" if nothing else (value >= 10 or kind == "stale")


@given(rules, steps)
def test_late_data_never_end_an_alert_and_never_begin_one_without_a_reason(about, story):
    told = Story(about)
    for step in story:
        before = told.alert
        told.take(*step)
        if step[0] == "stale" and before is not None and before.open:
            assert told.alert is not None and told.alert.open
        if step == ("stale", 0.0):
            assert told.alert == before or (told.alert and before and told.alert.state == before.state)


@given(rules, steps)
def test_nobody_is_told_while_it_is_quiet_and_what_is_owed_is_told_afterwards(about, story):
    told = Story(about)
    for step in story:
        told.take(*step)
    assert all(not quiet for _, event, quiet in told.tellings if event == "firing")
    told.quiet = ""
    told.at += 301 * SECOND
    if told.alert is not None and told.alert.open:
        told.take("value", 99.0)
        if told.alert.state == "pending":
            told.at += 400 * SECOND
            told.take("value", 99.0)
        assert told.alert.state == "acknowledged" or told.alert.told == "firing"
    events = [event for _, event, _ in told.tellings if event != "acknowledged"]
    assert all(one != other for one, other in pairwise(events)), events  # firing, resolved, …


@given(rules, st.lists(st.sampled_from([0.0, 99.0]), min_size=1, max_size=80))
def test_an_alert_that_comes_and_goes_is_told_at_most_a_few_times_an_hour(about, values):
    told = Story(replace(about, cooldown_seconds=300))
    for value in values:
        told.take("value", value)
    firing = [at for at, event, _ in told.tellings if event == "firing"]
    for at in firing:
        assert sum(at <= other < at + 3600 * SECOND for other in firing) <= lifecycle.FLAPS + 1
    assert all(later - earlier >= 300 * SECOND for earlier, later in pairwise(firing))


def test_with_a_recovery_threshold_the_value_has_to_pass_that_one():
    story = Story(rule(recovery=5.0))
    states = []
    for value in (9.0, 12.0, 7.0, 5.0, 4.9, 7.0):
        story.take("value", value)
        states.append(story.alert.state if story.alert else "")
    assert states == ["", "active", "active", "active", "resolved", "resolved"]


def test_what_was_resolved_by_hand_comes_back_after_the_cooldown_if_it_still_holds():
    story = Story(rule(cooldown_seconds=300))
    story.take("value", 50.0)
    story.take("resolve", None)
    first = story.alert.id
    for _ in range(4):
        story.take("value", 50.0)
        assert story.alert.state == "resolved"
    story.take("value", 50.0)
    assert (story.alert.state, story.alert.id) == ("active", first)


def test_what_was_resolved_by_hand_and_has_passed_is_told_at_once_when_it_comes_back():
    story = Story(rule(cooldown_seconds=3600))
    story.take("value", 50.0)
    story.take("resolve", None)
    story.take("value", 0.0)
    story.take("value", 50.0)
    assert story.alert.state == "active"


def test_within_an_hour_it_is_the_same_alert_and_later_another_one():
    story = Story(rule())
    story.take("value", 50.0)
    first = story.alert
    story.take("value", 0.0)
    story.take("value", 50.0)
    assert story.alert.id == first.id
    story.take("value", 0.0)
    story.take("later", 3600)
    story.take("value", 50.0)
    assert story.alert.id != first.id and story.alert.fingerprint == first.fingerprint


def test_a_flapping_alert_ends_after_a_quiet_quarter_of_an_hour():
    story = Story(rule(cooldown_seconds=0))
    for _ in range(lifecycle.FLAPS):
        story.take("value", 50.0)
        story.take("value", 0.0)
    assert story.alert.flapping and story.alert.state in OPEN
    for _ in range(14):
        story.take("value", 0.0)
        assert story.alert.state == "active"
    story.take("value", 0.0)
    assert story.alert.state == "resolved"


@pytest.mark.parametrize(("mode", "states"), [("ok", "resolved"), ("keep", "active"), ("alert", "active")])
def test_without_data_an_alert_ends_stays_or_begins_as_the_rule_says(mode, states):
    story = Story(rule(no_data=mode))
    story.take("value", 50.0)
    story.take("missing", None)
    assert story.alert.state == states
    fresh = Story(rule(no_data=mode))
    fresh.take("value", None)
    assert (fresh.alert is not None) == (mode == "alert")
