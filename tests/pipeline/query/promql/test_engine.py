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
from tests.pipeline.query.promql.asking import at, matrix, over, values
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
    for text in ("x[5m]", "x offset 5m", "sum(x)"):
        with pytest.raises(PromqlError):
            selector(text)


def test_a_lookback_may_be_asked_for() -> None:
    source = MemorySource("x 1 _ _ _ _")
    assert instant(source, "x", 61_000, deadline=Deadline(9), lookback_ms=60_000).value == []
    assert values(source, "x", 299.999) == {"x": 1}
    assert values(source, "x", 300) == {}


def test_steps_before_1970_are_steps_too() -> None:
    found = over(SOURCE, "max_over_time(vector(time())[3s:2s])", 0, 1, -5)["{}"]
    assert found == {-5: -6, -4: -4, -3: -4, -2: -2, -1: -2, 0: 0}
    assert not any(map(math.isnan, found.values()))
