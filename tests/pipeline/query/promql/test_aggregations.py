"""Aggregations: many series into one, or some of many."""

from __future__ import annotations

import math

import pytest

from monitoring.pipeline.query.promql.errors import PromqlError
from tests.pipeline.query.promql.asking import at, over, points, values
from tests.pipeline.query.promql.memory import MemorySource

NAN, INF = math.nan, math.inf
SOURCE = MemorySource(
    """
    v{job="a",i="1"} 1  1 _ stale
    v{job="a",i="2"} 2  2
    v{job="b",i="1"} 4 NaN
    v{job="b"}       9  9
    bad{n="1"}       NaN
    bad{n="2"}       Inf
    bad{n="3"}       3
    lone             NaN
    huge{n="1"}      1.7e308
    huge{n="2"}      1.7e308
    loss{n="1"}      1e100
    loss{n="2"}      1
    loss{n="3"}      -1e100
    """
)


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("sum(v)", {"{}": 16}),
        ("sum by (job) (v)", {'{job="a"}': 3, '{job="b"}': 13}),
        ("sum by (job, none) (v)", {'{job="a"}': 3, '{job="b"}': 13}),
        ("sum by (i) (v)", {'{i="1"}': 5, '{i="2"}': 2, "{}": 9}),
        ("sum without (i) (v)", {'{job="a"}': 3, '{job="b"}': 13}),
        ("sum without () (v)", {'{i="1",job="a"}': 1, '{i="2",job="a"}': 2, '{i="1",job="b"}': 4, '{job="b"}': 9}),
        ("sum by (__name__) (v)", {"v": 16}),
        ("avg(v)", {"{}": 4}),
        ("min by (job) (v)", {'{job="a"}': 1, '{job="b"}': 4}),
        ("max by (job) (v)", {'{job="a"}': 2, '{job="b"}': 9}),
        ("count(v)", {"{}": 4}),
        ("group by (job) (v)", {'{job="a"}': 1, '{job="b"}': 1}),
        ("stdvar by (job) (v)", {'{job="a"}': 0.25, '{job="b"}': 6.25}),
        ("stddev by (job) (v)", {'{job="a"}': 0.5, '{job="b"}': 2.5}),
        ("quantile(0.5, v)", {"{}": 3}),
        ("quantile by (job) (0.25, v)", {'{job="a"}': 1.25, '{job="b"}': 5.25}),
        ("quantile(0, bad)", {"{}": NAN}),
        ("quantile(1, bad)", {"{}": NAN}),  # Inf and 0 times Inf
        ("min(bad)", {"{}": 3}),
        ("max(bad)", {"{}": INF}),
        ("max(lone)", {"{}": NAN}),
        ("stddev(lone)", {"{}": NAN}),
        ("sum(bad)", {"{}": NAN}),
        ('avg(bad{n!="1"})', {"{}": INF}),
        ("avg(huge)", {"{}": 1.7e308}),
        ("sum(huge)", {"{}": INF}),
        ("sum(loss)", {"{}": 1}),
        ("sum(nothing)", {}),
        ('count_values("value", v)', {'{value="1"}': 1, '{value="2"}': 1, '{value="4"}': 1, '{value="9"}': 1}),
        ('count_values by (job) ("job", v > 5)', {'{job="9"}': 1}),
        ('count_values without (i) ("value", v > 5)', {'{job="b",value="9"}': 1}),
        ('count_values("value", bad)', {'{value="NaN"}': 1, '{value="+Inf"}': 1, '{value="3"}': 1}),
        ('count_values("value", v * 1e21) > 1', {}),
        ('count_values("value", v{i="2"} * 5e20)', {'{value="1000000000000000000000"}': 1}),
        ("topk(2, v)", {'v{job="b"}': 9, 'v{i="1",job="b"}': 4}),
        ("bottomk by (job) (1, v)", {'v{i="1",job="a"}': 1, 'v{i="1",job="b"}': 4}),
        ("topk(0, v)", {}),
        ("topk(-1, v)", {}),
        ("topk(1.9, v)", {'v{job="b"}': 9}),
        ('topk(scalar(v{i="2"}), v)', {'v{job="b"}': 9, 'v{i="1",job="b"}': 4}),
        ("topk(2, bad)", {'bad{n="2"}': INF, 'bad{n="3"}': 3}),
        ("bottomk(2, bad)", {'bad{n="2"}': INF, 'bad{n="3"}': 3}),
        ("count(limitk(3, v))", {"{}": 3}),
        ("count(limitk by (job) (1, v))", {"{}": 2}),
        ("count(limit_ratio(1, v))", {"{}": 4}),
        ("limit_ratio(0, v)", {}),
        ("count(limit_ratio(0.3, v) or limit_ratio(-0.7, v))", {"{}": 4}),
        ("limit_ratio(0.3, v) and limit_ratio(-0.7, v)", {}),
    ],
)
def test_aggregations(expr: str, expected: dict[str, float]) -> None:
    assert values(SOURCE, expr) == {name: pytest.approx(value, nan_ok=True) for name, value in expected.items()}


def test_the_best_come_first() -> None:
    assert [value for _, _, value in points(at(SOURCE, "topk(3, v)"))] == [9, 4, 2]
    assert [value for _, _, value in points(at(SOURCE, "bottomk(3, v)"))] == [1, 2, 4]
    assert [value for _, _, value in points(at(SOURCE, "sort(topk(3, v))"))] == [2, 4, 9]


def test_over_time_each_step_is_aggregated_by_itself() -> None:
    assert over(SOURCE, "count by (job) (v)", 180) == {
        '{job="a"}': {0: 2, 60: 2, 120: 2, 180: 1},
        '{job="b"}': {0: 2, 60: 2, 120: 2, 180: 2},
    }
    assert over(SOURCE, 'topk(1, v{job="a"})', 120) == {'v{i="2",job="a"}': {0: 2, 60: 2, 120: 2}}
    assert over(SOURCE, 'bottomk(1, v{job="a"})', 180) == {
        'v{i="1",job="a"}': {0: 1, 60: 1, 120: 1},
        'v{i="2",job="a"}': {180: 2},
    }


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        ("topk(NaN, v)", "Parameter value is NaN"),
        ("topk(1e30, v)", "Scalar value 1e+30 overflows int64"),
        ("bottomk(-Inf, v)", "Scalar value -Inf underflows int64"),
        ("limit_ratio(NaN, v)", "Ratio value is NaN"),
        ('count_values("", v)', 'invalid label name ""'),
    ],
)
def test_parameters_that_make_no_sense_are_refused(expr: str, text: str) -> None:
    with pytest.raises(PromqlError) as refused:
        at(SOURCE, expr)
    assert str(refused.value) == text


@pytest.mark.parametrize(
    ("expr", "warnings"),
    [
        ("quantile(1.5, v)", ["PromQL warning: quantile value should be between 0 and 1, got 1.5"]),
        ("quantile(NaN, v)", ["PromQL warning: quantile value should be between 0 and 1, got NaN"]),
        ("quantile_over_time(-2, v[5m])", ["PromQL warning: quantile value should be between 0 and 1, got -2"]),
        ("quantile(0.5, v)", []),
        ("quantile(2, nothing)", []),
        ("limit_ratio(1.1, v)", ["PromQL warning: ratio value should be between -1 and 1, got 1.1, capping to 1"]),
        ("limit_ratio(-1.1, v)", ["PromQL warning: ratio value should be between -1 and 1, got -1.1, capping to -1"]),
    ],
)
def test_parameters_that_look_odd_are_warned_of(expr: str, warnings: list[str]) -> None:
    assert at(SOURCE, expr).warnings == warnings
