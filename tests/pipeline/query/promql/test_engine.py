"""The engine as its callers see it: kinds of answers, limits, time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.promql.engine import instant, ranged
from monitoring.pipeline.query.promql.errors import PromqlError
from monitoring.pipeline.query.promql.parse import selector
from monitoring.pipeline.query.promql.source import Matcher, Samples, Source
from tests.pipeline.query.promql.asking import at, matrix, over, points, text, values
from tests.pipeline.query.promql.generated import BASE, Queries, series
from tests.pipeline.query.promql.memory import MemorySource

SOURCE = MemorySource('x{a="2"} 0+1x60\nx{a="10"} 5x60')


def test_each_kind_of_expression_has_its_kind_of_answer() -> None:
    assert (at(SOURCE, "1").type, at(SOURCE, "1").value) == ("scalar", 1)
    assert (at(SOURCE, '"a\\n"').type, at(SOURCE, '"a\\n"').value) == ("string", "a\n")
    assert at(SOURCE, "x", 60).value == [
        ({"__name__": "x", "a": "2"}, 60_000, 1),
        ({"__name__": "x", "a": "10"}, 60_000, 5),
    ]
    assert [one.values.tolist() for one in matrix(at(SOURCE, "x[2m]", 120))] == [[5, 5], [1, 2]]
    assert [one.times.tolist() for one in matrix(at(SOURCE, "x[2m:30s]", 120))] == [
        [30_000, 60_000, 90_000, 120_000]
    ] * 2


def test_a_range_query_has_series_in_the_order_of_their_labels_and_a_scalar_is_one_without_labels() -> None:
    answer = ranged(SOURCE, "x", 0, 120_000, 60_000, deadline=Deadline(9))
    assert [one.labels["a"] for one in matrix(answer)] == ["10", "2"]
    assert over(SOURCE, "time() / 60", 120) == {"{}": {0: 0, 60: 1, 120: 2}}


def test_step_range_start_and_end_are_those_of_the_query() -> None:
    assert over(SOURCE, "step() + range() + start() + end()", 120, 60, 60) == {"{}": {60: 300, 120: 300}}
    assert over(SOURCE, "sum_over_time(x{a='2'}[2 * step()])", 180, 60, 120) == {'{a="2"}': {120: 3, 180: 5}}


@pytest.mark.parametrize(
    ("expr", "start", "end", "step"), [("x[5m]", 0, 10, 1), ('"a"', 0, 10, 1), ("x", 10, 0, 1), ("x", 0, 10, 0)]
)
def test_a_range_query_that_makes_no_sense_is_bad_data(expr: str, start: int, end: int, step: int) -> None:
    with pytest.raises(PromqlError) as refused:
        ranged(SOURCE, expr, start, end, step, deadline=Deadline(9))
    assert refused.value.kind == "bad_data"


def test_a_query_whose_time_is_up_says_so() -> None:
    with pytest.raises(PromqlError, match="query timed out in query execution") as refused:
        instant(SOURCE, "x", 0, deadline=Deadline(0))
    assert refused.value.kind == "timeout"


def test_what_never_changes_is_evaluated_once() -> None:
    asked: list[tuple[int, int]] = []

    class Watched(MemorySource):
        def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, step_ms: int) -> list[Samples]:
            asked.append((start_ms, end_ms))
            return super().select(matchers, start_ms, end_ms, step_ms)

    source: Source = Watched('x{a="2"} 0+1x60')
    found = ranged(
        source, "sum_over_time(x[2m] @ 180) + sum_over_time(x[2m] @ 180)", 0, 600_000, 1000, deadline=Deadline(9)
    )
    assert asked == [(60_001, 180_000)]
    assert np.unique(matrix(found)[0].values).tolist() == [10]


def test_the_matchers_of_a_selector_can_be_had_alone() -> None:
    assert selector('x{a!~"b"}') == (Matcher("__name__", "=", "x"), Matcher("a", "!~", "b"))
    for expr in ("x[5m]", "x offset 5m", "sum(x)"):
        with pytest.raises(PromqlError):
            selector(expr)


def test_a_lookback_may_be_asked_for() -> None:
    source = MemorySource("x 1 _ _ _ _")
    assert instant(source, "x", 61_000, deadline=Deadline(9), lookback_ms=60_000).value == []
    assert values(source, "x", 299.999) == {"x": 1}
    assert values(source, "x", 300) == {}


def test_steps_before_1970_are_steps_too() -> None:
    found = over(SOURCE, "max_over_time(vector(time())[3s:2s])", 0, 1, -5)["{}"]
    assert found == {-5: -6, -4: -4, -3: -4, -2: -2, -1: -2, 0: 0}
    assert not any(map(math.isnan, found.values()))


def test_a_range_query_has_at_every_step_what_an_instant_query_has_there() -> None:
    source, queries = MemorySource(series(3)), Queries(3)
    times = range((BASE + 300) * 1000, (BASE + 3500) * 1000, 800_000)
    compared = 0
    for _ in range(60):
        expr = queries.vector(2)
        if "start()" in expr or "end()" in expr:
            continue
        try:
            found = matrix(ranged(source, expr, times[0], times[-1], times.step, deadline=Deadline(60)))
        except PromqlError:  # series that meet at one of the steps
            continue
        for time in times:
            here = {
                text(one.labels): repr(float(one.values[place]))
                for one in found
                if (place := int(np.searchsorted(one.times, time))) < len(one.times) and one.times[place] == time
            }
            alone = points(instant(source, expr, time, deadline=Deadline(60)))
            assert here == {text(labels): repr(value) for labels, _, value in alone}, f"{expr} at {time}"
            compared += len(here)
    assert compared > 500


@pytest.mark.parametrize(
    "expr",
    [
        "rate(requests_total[5m])",
        "requests_total[5m]",
        "absent_over_time(temperature[1m])",
        'absent_over_time({__name__=~"temperature|nothing",route="/a"}[1m])',
        "absent_over_time(nothing[1m])",
        "quantile_over_time(0.5, temperature[5m])",
    ],
)
def test_many_windows_are_computed_some_series_at_a_time(monkeypatch: pytest.MonkeyPatch, expr: str) -> None:
    source = MemorySource(series(4))
    whole = repr(at(source, expr, BASE + 1200))
    monkeypatch.setattr("monitoring.pipeline.query.promql.selectors._BLOCK_CELLS", 2)
    assert repr(at(source, expr, BASE + 1200)) == whole


def test_series_of_the_same_labels_are_refused_wherever_they_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.pipeline.query.promql.selectors._BLOCK_CELLS", 1)
    with pytest.raises(PromqlError, match="same labelset"):
        at(MemorySource("one 1 2\ntwo 1 2"), 'sum_over_time({__name__=~"one|two"}[5m])', 60)


def test_a_matrix_that_would_not_fit_is_refused_before_it_is_made() -> None:
    source = MemorySource([Samples({"__name__": "x", "n": str(n)}, np.array([0]), np.array([1.0])) for n in range(600)])
    with pytest.raises(PromqlError, match="too many samples"):
        ranged(source, "sum_over_time(x[5m])", 0, 100_000, 1, deadline=Deadline(9))


def test_what_is_too_deep_for_the_stack_is_bad_data() -> None:
    nested = "vector(1)"
    for _ in range(190):
        nested = f"max_over_time({nested}[2m:1m])"
    with pytest.raises(PromqlError, match="nested too deeply") as refused:
        at(SOURCE, nested)
    assert refused.value.kind == "bad_data"
    assert values(SOURCE, "-" * 190 + "1") == {"scalar": 1}


@pytest.mark.parametrize(
    "expr",
    ["sum_over_time(vector(1)[100y:1ms])", "max_over_time(x[100y:1s])", "count_over_time(vector(time())[3y:1s])"],
)
def test_a_subquery_of_too_many_steps_is_refused_before_it_is_evaluated(expr: str) -> None:
    with pytest.raises(PromqlError, match="too many samples"):
        at(SOURCE, expr)
