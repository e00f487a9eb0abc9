"""Levels: the names of many loggers, one scale."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.events import levels


@pytest.mark.parametrize(
    ("text", "severity"),
    [("info", 9), ("WARN", 13), ("Warning", 13), ("ERROR2", 18), ("CRITICAL", 21), ("notice", 10), ("[error]", 17),
     ("E", 17), ("emerg", 24), ("DEBUG4", 8), ("trace", 1)],
)  # fmt: skip
def test_names_are_understood_in_any_case(text, severity):
    assert levels.parse(text) == severity


@pytest.mark.parametrize("text", ["", "loud", "error5", "notice2", "12"])
def test_what_is_no_level_is_none(text):
    assert levels.parse(text) is None


@given(st.integers(1, 24))
def test_a_severity_belongs_to_the_group_it_is_named_for(severity):
    assert severity in levels.severities(severity)
    first = levels.parse(levels.name(severity))
    assert first is not None and levels.group(first) == levels.group(severity)
