"""Functions: of one value, of a window, of time, of labels."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.query.promql.errors import PromqlError
from monitoring.pipeline.query.promql.source import Samples
from tests.pipeline.query.promql.asking import at, over, points, values
from tests.pipeline.query.promql.memory import MemorySource

NAN, INF = math.nan, math.inf
SOURCE = MemorySource(
    """
    g{a="x"}      1 2 -3.5 NaN 4
    g{a="y"}      1e300 Inf -Inf 0 -0.5
    big           1e308 1e308 1e308 1e308
    cancelling    1e100 1 -1e100 1
    nothing_else  NaN NaN NaN
    halves        0.5x3
    whole         9007199254740992 1 1 2
    path{src="a-12",dst="old"} 1
    path{src="b-7"}            2
    """
)


@pytest.mark.parametrize(
    ("expr", "x", "y"),
    [
        ("abs(g)", 4, 0.5),
        ("-g", -4, 0.5),
        ("ceil(g)", 4, -0.0),
        ("floor(g)", 4, -1),
        ("round(g)", 4, -0.0),
        ("round(g, 3)", 3, -0.0),
        ("sgn(g)", 1, -1),
        ("sqrt(g)", 2, NAN),
        ("ln(g)", math.log(4), NAN),
        ("log2(g)", 2, NAN),
        ("exp(g)", math.exp(4), math.exp(-0.5)),
        ("clamp(g, 0, 3)", 3, 0),
        ("clamp_min(g, 0)", 4, 0),
        ("clamp_max(g, 0)", 0, -0.5),
        ("clamp_max(g, NaN)", NAN, NAN),
        ("deg(g)", math.degrees(4), math.degrees(-0.5)),
        ("rad(g)", math.radians(4), math.radians(-0.5)),
        ("atanh(g)", NAN, math.atanh(-0.5)),
        ("g % 3", 1, -0.5),
        ("g % -3", 1, -0.5),
        ("g / 0", INF, -INF),
        ("g ^ 2", 16, 0.25),
        ("2 ^ g", 16, 2**-0.5),
        ("g atan2 1", math.atan2(4, 1), math.atan2(-0.5, 1)),
        ("sum_over_time(g[5m])", NAN, NAN),
        ("min_over_time(g[5m])", -3.5, -INF),
        ("max_over_time(g[5m])", 4, INF),
        ("count_over_time(g[5m])", 5, 5),
        ("last_over_time(g[5m])", 4, -0.5),
        ("first_over_time(g[5m])", 1, 1e300),
        ("present_over_time(g[5m])", 1, 1),
        ("quantile_over_time(0, g[5m])", NAN, -INF),
        ("quantile_over_time(1, g[5m])", 4, NAN),  # Inf and 0 times Inf
        ("ts_of_max_over_time(g[5m])", 240, 60),
        ("ts_of_min_over_time(g[5m])", 120, 120),
        ("ts_of_first_over_time(g[5m])", 0, 0),
        ("ts_of_last_over_time(g[5m])", 240, 240),
        ("changes(g[5m])", 4, 4),
        ("timestamp(g)", 240, 240),
        ("timestamp(g offset 1m)", 180, 180),
        ("timestamp(g + 0)", 240, 240),
    ],
)
def test_functions_of_values_and_windows(expr: str, x: float, y: float) -> None:
    named = "g" if expr.startswith(("last_", "first_")) else ""
    found = values(SOURCE, expr, 240)
    assert found == {
        f'{named}{{a="x"}}': pytest.approx(x, nan_ok=True),
        f'{named}{{a="y"}}': pytest.approx(y, nan_ok=True),
    }


@pytest.mark.parametrize(
    ("expr", "seconds", "expected"),
    [
        ("sum_over_time(cancelling[4m])", 180, 2),  # 1 is lost in 1e100 without compensation
        ("avg_over_time(cancelling[4m])", 180, 0.5),
        ("avg_over_time(big[4m])", 180, 1e308),  # whose sum does not fit
        ("sum_over_time(big[4m])", 180, INF),
        ("stddev_over_time(big[4m])", 180, 0),
        ("max_over_time(nothing_else[4m])", 120, NAN),
        ("ts_of_max_over_time(nothing_else[4m])", 120, 120),
        ("mad_over_time(cancelling[4m])", 180, 0.5e100),
        ("double_exponential_smoothing(big[4m], 0.5, 0.5)", 180, 1e308),
        ("changes(nothing_else[4m])", 120, 0),
        ("sum(cancelling @ 0) + 1", 180, 1e100),
        ("sum_over_time(halves[4m])", 180, 2),
        ("sum_over_time(whole[4m])", 180, 9007199254740993 + 3),  # 2 ** 53 + 4, of which a float holds only every other
        ("avg_over_time(whole[2m])", 180, 1.5),
    ],
)
def test_sums_lose_nothing_and_means_do_not_overflow(expr: str, seconds: float, expected: float) -> None:
    assert list(values(SOURCE, expr, seconds).values()) == [pytest.approx(expected, nan_ok=True)]


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("time()", 1_600_000_001),
        ("pi()", math.pi),
        ("1 + 2 * 3 ^ 2 ^ 1", 19),
        ("-2 ^ 2", -4),
        ("7 % 4 == bool 3", 1),
        ("scalar(nothing)", NAN),
        ("scalar(vector(4))", 4),
        ("scalar(vector(1) or on () vector(2))", 1),
    ],
)
def test_scalars(expr: str, expected: float) -> None:
    assert values(SOURCE, expr, 1_600_000_001) == {"scalar": pytest.approx(expected, nan_ok=True)}


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("hour()", 12),
        ("minute()", 26),
        ("day_of_week()", 0),
        ("day_of_month()", 13),
        ("day_of_year()", 257),
        ("days_in_month()", 30),
        ("month()", 9),
        ("year()", 2020),
        ("days_in_month(vector(951782400))", 29),  # the 29th of February 2000
        ("day_of_year(vector(1735603200))", 366),  # the 31st of December 2024
        ("year(vector(-1))", 1969),
        ("hour(vector(-1.5))", 23),
        ("day_of_week(vector(-86400))", 3),
        ("year(vector(NaN))", NAN),
    ],
)
def test_the_calendar_is_that_of_utc(expr: str, expected: float) -> None:
    assert values(SOURCE, expr, 1_600_000_001) == {"{}": pytest.approx(expected, nan_ok=True)}


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ('absent(nothing{a="b",c!="d",e=~"f",g=""})', {'{a="b"}': 1}),
        ('absent(nothing{a="b",a="c",d="e"})', {'{d="e"}': 1}),
        ("absent(sum(nothing))", {"{}": 1}),
        ("absent(g)", {}),
        ("absent_over_time(nothing[5m])", {"{}": 1}),
        ('absent_over_time(g{a="x"}[5m])', {}),
        ("clamp(g, 3, 0)", {}),
        ("vector(3)", {"{}": 3}),
        ("histogram_count(g)", {}),
    ],
)
def test_functions_of_whether_there_is_anything(expr: str, expected: dict[str, float]) -> None:
    assert values(SOURCE, expr, 240) == expected


@pytest.mark.parametrize(
    ("expr", "labels"),
    [
        ('label_replace(path, "new", "$2/$1", "src", "(.)-(.*)")', ["12/a", "7/b"]),
        ('label_replace(path, "new", "${1}x$$", "src", "(.)-.*")', ["ax$", "bx$"]),
        ('label_replace(path, "new", "$1x", "src", "(.)-.*")', ["", ""]),  # the group named 1x
        ('label_replace(path, "new", "$letter", "src", "(?P<letter>.)-.*")', ["a", "b"]),
        ('label_replace(path, "new", "x", "src", "a")', ["", ""]),  # the whole value must match
        ('label_replace(path, "new", "x", "none", "")', ["x", "x"]),
        ('label_join(path, "new", ",", "src", "dst", "src")', ["a-12,old,a-12", "b-7,,b-7"]),
        ('label_join(path, "new", ",")', ["", ""]),
    ],
)
def test_labels_may_be_made_of_labels(expr: str, labels: list[str]) -> None:
    assert [found.get("new", "") for found, _, _ in points(at(SOURCE, expr))] == labels


def test_an_empty_label_goes_away_and_a_name_may_be_made() -> None:
    assert values(SOURCE, 'label_replace(path{dst="old"}, "dst", "", "", "")') == {'path{src="a-12"}': 1}
    assert values(SOURCE, 'label_replace(path{dst="old"}, "__name__", "n", "", "")') == {'n{dst="old",src="a-12"}': 1}


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        ('label_replace(path, "src", "x", "", "")', None),
        ('label_replace(path{dst=""}, "", "x", "", "")', "invalid destination label name in label_replace()"),
        ('label_replace(path, "a", "x", "", "(")', "invalid regular expression in label_replace(): ("),
        ('label_join(path, "a", "", "")', "invalid source label name in label_join()"),
        ('{__name__=~"big|cancelling"} * 1', "vector cannot contain metrics with the same labelset"),
        ('rate({__name__=~"big|cancelling"}[5m])', "vector cannot contain metrics with the same labelset"),
        ('-{__name__=~"big|cancelling"}', "vector cannot contain metrics with the same labelset"),
        ('label_replace({__name__=~"big|cancelling"}, "__name__", "", "", "")', "with the same labelset"),
        (
            "double_exponential_smoothing(big[5m], 1, 0.5)",
            "invalid smoothing factor. Expected: 0 < sf < 1, got: 1.000000",
        ),
        (
            "double_exponential_smoothing(big[5m], 0.5, -1)",
            "invalid trend factor. Expected: 0 < tf < 1, got: -1.000000",
        ),
    ],
)
def test_what_cannot_be_computed_is_said_in_the_words_of_prometheus(expr: str, text: str | None) -> None:
    if text is None:
        assert len(points(at(SOURCE, expr, 60))) == 2
        return
    with pytest.raises(PromqlError) as refused:
        at(SOURCE, expr, 60)
    assert text in str(refused.value)
    assert refused.value.kind == "execution"


def test_series_of_one_name_and_labels_at_different_times_are_one_for_operators_and_two_for_ranges() -> None:
    source = MemorySource("one 1 1 stale\ntwo _ _ _ 2 2")
    assert over(source, '{__name__=~"one|two"} + 0', 240) == {"{}": {0: 1, 60: 1, 180: 2, 240: 2}}
    with pytest.raises(PromqlError, match="same labelset"):
        over(source, 'sum_over_time({__name__=~"one|two"}[1m])', 240)


def test_sorting_orders_an_instant_answer_with_nan_last() -> None:
    source = MemorySource('s{n="node10"} 2\ns{n="node9"} NaN\ns{n="node1"} 3\ns{n="x"} 1')

    def order(expr: str) -> list[str]:
        return [labels["n"] for labels, _, _ in points(at(source, expr))]

    assert order("sort(s)") == ["x", "node10", "node1", "node9"]
    assert order("sort_desc(s)") == ["node1", "node10", "x", "node9"]
    assert order('sort_by_label(s, "n")') == ["node1", "node9", "node10", "x"]
    assert order('sort_by_label_desc(s, "n")') == ["x", "node10", "node9", "node1"]


def test_info_adds_the_labels_of_the_target() -> None:
    source = MemorySource(
        """
        m{instance="a",job="1",data="own"} 5x10
        m{instance="b",job="1"} 6x10
        target_info{instance="a",job="1",data="info",version="2"} 1x3 stale
        """
    )
    assert values(source, "info(m)") == {
        'm{data="own",instance="a",job="1",version="2"}': 5,
        'm{instance="b",job="1"}': 6,
    }
    assert values(source, 'info(m, {version=~".+"})') == {'m{data="own",instance="a",job="1",version="2"}': 5}
    assert values(source, 'info(m, {__name__="other_info"})').keys() == values(source, "m").keys()
    found = over(source, 'info(m{instance="a"})', 300)
    assert found['m{data="own",instance="a",job="1",version="2"}'].keys() == {0, 60, 120, 180}
    assert found['m{data="own",instance="a",job="1"}'].keys() == {240, 300}


def test_names_may_stay_until_the_end() -> None:
    expr = 'label_replace(rate({__name__=~"big|cancelling"}[5m]), "kept", "$1", "__name__", "(.*)")'
    with pytest.raises(PromqlError, match="same labelset"):
        at(SOURCE, expr, 180)
    found = points(at(SOURCE, expr, 180, delayed_names=True))
    assert sorted(labels["kept"] for labels, _, _ in found) == ["big", "cancelling"]
    assert all("__name__" not in labels for labels, _, _ in found)


WINDOWS = st.lists(
    st.tuples(st.integers(1, 40_000), st.floats(-1e6, 1e6) | st.sampled_from([0.1, 0.2, 7.0])), min_size=1, max_size=20
)
NAIVE: dict[str, Callable[[list[float]], float]] = {
    "avg": statistics.fmean,
    "sum": math.fsum,
    "min": min,
    "max": max,
    "count": len,
    "stdvar": lambda window: statistics.pvariance(map(float, window)),
    "last": lambda window: window[-1],
    "mad": lambda window: statistics.median([abs(value - statistics.median(window)) for value in window]),
}


@given(WINDOWS, st.integers(1000, 300_000))
def test_over_time_computes_what_a_naive_function_of_the_window_computes(
    gaps: list[tuple[int, float]], range_ms: int
) -> None:
    times = np.cumsum([gap for gap, _ in gaps], dtype=np.int64)
    source = MemorySource([Samples({"__name__": "x"}, times, np.array([value for _, value in gaps]))])
    for name, naive in NAIVE.items():
        found = over(source, f"{name}_over_time(x[{range_ms}ms])", 300)
        named = "x" if name == "last" else "{}"
        for second in range(0, 301, 60):
            end = second * 1000
            inside = [value for time, (_, value) in zip(times, gaps, strict=True) if end - range_ms < time <= end]
            wanted = [pytest.approx(naive(inside), rel=1e-9, abs=1e-6)] if inside else []
            assert [points[second] for points in [found.get(named, {})] if second in points] == wanted
