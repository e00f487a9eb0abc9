"""Selectors: which series, and which of their samples."""

from __future__ import annotations

import pytest

from monitoring.pipeline.query.promql.errors import PromqlError
from tests.pipeline.query.promql.asking import at, matrix, over, points, values
from tests.pipeline.query.promql.memory import MemorySource

SOURCE = MemorySource(
    r"""
    up{job="api",instance="a"}   1 1 1 stale _ _ 1
    up{job="api",instance="b"}   0+1x20
    up{job="db",instance="c",note="two\nlines"}  5 _ _ _ _ _ _ _ 6
    down{job="api"} 7x20
    """
)


@pytest.mark.parametrize(
    ("expr", "instances"),
    [
        ("up", "abc"),
        ('up{job="api"}', "ab"),
        ('up{job!="api"}', "c"),
        ('up{job=~"a.*|db"}', "abc"),
        ('up{job=~"ap"}', ""),
        ('up{job!~"a.*"}', "c"),
        ('up{note=~"two.lines"}', "c"),
        ('up{note=""}', "ab"),
        ('up{note!=""}', "c"),
        ('up{nothing=~".*"}', "abc"),
        ('{__name__="up",job="db"}', "c"),
        ('{"up",instance=~"[ab]"}', "ab"),
        ('{__name__=~"u.",job="api"}', "ab"),
    ],
)
def test_matchers_choose_series_and_an_absent_label_is_the_empty_text(expr: str, instances: str) -> None:
    assert "".join(sorted(labels["instance"] for labels, _, _ in points(at(SOURCE, expr)))) == instances


def test_the_newest_sample_counts_until_it_is_as_old_as_the_lookback() -> None:
    found = over(SOURCE, 'up{instance="c"}', 600)
    assert next(iter(found.values())) == {0: 5, 60: 5, 120: 5, 180: 5, 240: 5, 480: 6, 540: 6, 600: 6}


def test_a_stale_mark_ends_a_series_at_once_and_it_may_come_back() -> None:
    assert over(SOURCE, 'up{instance="a"}', 420)['up{instance="a",job="api"}'] == {0: 1, 60: 1, 120: 1, 360: 1, 420: 1}


def test_a_range_is_open_at_its_start_closed_at_its_end_and_has_no_stale_marks() -> None:
    (series,) = matrix(at(SOURCE, 'up{instance="a"}[4m]', 360))
    assert series.times.tolist() == [360_000]
    (series,) = matrix(at(SOURCE, 'up{instance="b"}[4m]', 360))
    assert series.times.tolist() == [180_000, 240_000, 300_000, 360_000]


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ('up{instance="b"} offset 3m', 2),
        ('up{instance="b"} offset -3m', 8),
        ('up{instance="b"} offset 0s', 5),
        ('up{instance="b"} offset step()', 5),
        ('up{instance="b"} @ 120', 2),
        ('up{instance="b"} @ 240 offset 1m', 3),
        ('up{instance="b"} offset 1m @ 240', 3),
        ('up{instance="b"} @ start()', 5),
        ('up{instance="b"} @ end()', 5),
        ('sum_over_time(up{instance="b"}[2m])', 9),
        ('sum_over_time(up{instance="b"}[2m] @ 120)', 3),
        ('sum_over_time(up{instance="b"}[2m] offset 1m)', 7),
        ('sum_over_time(up{instance="b"}[2m:1m])', 9),
        ('sum_over_time(up{instance="b"}[2m:30s])', 3 + 4 + 4 + 5),
        ('sum_over_time(up{instance="b"}[3m:2m])', 4),
        ('sum_over_time(up{instance="b"}[4m:2m])', 2 + 4),
        ('max_over_time(up{instance="b"}[2m:1m] @ 600)', 10),
        ('up{instance="b"} offset (1m + 2 * 30s)', 3),
        ('up{instance="b"} offset -(1m)', 6),
        ('up{instance="b"} offset min_of(1m, 3m) + 1', 5),
        ('count_over_time(up{instance="b"}[10m / 2])', 5),
        ('count_over_time(up{instance="b"}[2m ^ 1:30 - 0])', 4),
        ('max_over_time(up{instance="b"}[2m:] offset 1m)', 4),
        ('sum_over_time(sum_over_time(up{instance="b"}[2m])[2m:1m])', 7 + 9),
    ],
)
def test_offset_at_and_subqueries_move_the_time_that_is_looked_at(expr: str, expected: float) -> None:
    assert list(values(SOURCE, expr, 300).values()) == [expected]


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ('up{instance="b"} smoothed', 5.25),
        ('up{instance="b"} smoothed offset 30s', 4.75),
        ('up{instance="b"} smoothed offset (1m + 30s) @ 240', 2.5),
        ('up{instance="b"} @ 90 smoothed', 1.5),
        ('sum(up{instance="b"} smoothed) + up{instance="b"}', 10.25),
    ],
)
def test_a_smoothed_selector_lies_between_the_samples_on_either_side(expr: str, expected: float) -> None:
    (value,) = values(SOURCE, expr.replace('+ up{instance="b"}', '+ on() up{instance="b"}'), 315).values()
    assert value == expected


def test_a_smoothed_selector_has_its_newest_value_where_none_follows_and_none_where_none_was() -> None:
    (found,) = over(SOURCE, 'up{instance="c"} smoothed', 840).values()
    assert {second: found[second] for second in (0, 60, 240, 480, 720)} == {0: 5, 60: 5, 240: 5.5, 480: 6, 720: 6}
    assert sorted(set(range(0, 841, 60)) - set(found)) == [300, 360, 420, 780, 840]


def test_type_and_unit_go_with_the_name() -> None:
    source = MemorySource(
        """
        took{__type__="counter",__unit__="s",a="1"} 0+1x20
        used{__type__="gauge",__unit__="m",a="1"} 0+1x20
        """
    )
    assert values(source, "-took", 600) == {'{a="1"}': -10}
    assert values(source, "sum without () (took)", 600) == {'{a="1"}': 10}
    assert values(source, "took + used", 600) == {'{a="1"}': 20}
    assert values(source, "sum by (__type__) (took)", 600) == {'{__type__="counter"}': 10}
    assert values(source, "last_over_time(took[1m])", 600) == {'took{__type__="counter",__unit__="s",a="1"}': 10}


def test_start_and_end_are_those_of_the_whole_query_within_a_subquery_too() -> None:
    found = over(SOURCE, 'max_over_time((up{instance="b"} @ end())[2m:1m])', 600, start=300)
    assert set(next(iter(found.values())).values()) == {10}


def test_a_time_before_1970_is_a_time() -> None:
    assert values(SOURCE, 'up{instance="b"} @ -60 offset -3m', 300) == {'up{instance="b",job="api"}': 2}


@pytest.mark.parametrize(
    "expr",
    [
        "",
        "up{",
        "up{}}",
        "{}",
        '{a=""}',
        "up[0s]",
        "sum(1)",
        "rate(up)",
        'up{a=~"("}',
        "nothing(up)",
        "1 == 2",
        "up[5m]+1",
        "up[1m/0]",
        "up[-1m]",
        "up[1m + ]",
        "up[nothing(1m)]",
        "up[((1m)]",
        "up[10 ^ 1000]",
        "up offset (1m",
        "up offset 99999999999999999999",
        "up @ 1e30",
        "up @ -1e400",
        "up @ -5..",
        'up{a="b" or c="d"}',
        '{"up","down"}',
        "up and 1",
    ],
)
def test_what_is_no_promql_is_bad_data(expr: str) -> None:
    with pytest.raises(PromqlError) as refused:
        at(SOURCE, expr)
    assert refused.value.kind == "bad_data"


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        ("rate(up)", 'expected type range vector in call to function "rate", got instant vector'),
        ("sum(up[5m])", "expected type instant vector in aggregation expression, got range vector"),
        ("rate(up[5m], 1)", 'expected 1 argument(s) in call to "rate", got 2'),
        ("nothing(up)", 'unknown function with name "nothing"'),
        ("up or 1", 'set operator "or" not allowed in binary scalar expression'),
        ("1[5m:]", "subquery is only allowed on instant vector, got scalar instead"),
        ("1 + on(job) up", "vector matching only allowed between instant vectors"),
        ('-"a"', 'unary expression only allowed on expressions of type scalar or instant vector, got "string"'),
        ("1 == 2", "comparisons between scalars must use BOOL modifier"),
        ("up offset 1m offset 1m", "offset may not be set multiple times"),
        ('up{__name__="a"}', 'metric name must not be set twice: "up" or "a"'),
    ],
)
def test_what_is_wrong_is_said_as_prometheus_says_it(expr: str, text: str) -> None:
    with pytest.raises(PromqlError) as refused:
        at(SOURCE, expr)
    assert str(refused.value) == f"parse error: {text}"


@pytest.mark.parametrize("expr", ["1+" * 30_000 + "1", "(" * 3000 + "1" + ")" * 3000, "-" * 3000 + "up", "x" * 70_000])
def test_an_expression_too_deep_for_the_parser_is_refused_and_does_not_end_the_process(expr: str) -> None:
    with pytest.raises(PromqlError, match="at most"):
        at(SOURCE, expr)


@pytest.mark.parametrize(
    ("expr", "expected"), [("1_000", 1000), ("0755", 493), ("0x_1F", 31), ("5m", 300), (".5", 0.5), ("1e3", 1000)]
)
def test_numbers_may_be_written_as_in_prometheus(expr: str, expected: float) -> None:
    assert values(SOURCE, expr) == {"scalar": expected}
