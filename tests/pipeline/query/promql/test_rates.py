"""rate() and its like: how fast series change."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.query.promql.errors import PromqlError
from monitoring.pipeline.query.promql.source import STALE, Samples
from tests.pipeline.query.promql.asking import at, over, values
from tests.pipeline.query.promql.memory import MemorySource

SOURCE = MemorySource(
    """
    steady_total    0+60x30
    late_total      _ _ _ _ _ _ 100+60x30
    born_total      _ _ _ _ _ _ 0+60x30
    reset_total     0 60 120 0 60 20 80 140
    falling         100-10x30
    lone_total      _ _ 5
    """
)


@pytest.mark.parametrize(
    ("expr", "seconds", "expected"),
    [
        ("rate(steady_total[5m])", 600, 1.0),  # four steps sampled, stretched to five
        ("increase(steady_total[5m])", 600, 300.0),
        ("rate(steady_total[5m])", 630, 1.0),
        ("increase(late_total[5m])", 420, 60 * (60 + 30) / 60),  # begins half a step before its first sample
        ("increase(born_total[5m])", 420, 60.0),  # not before it was 0
        ("increase(reset_total[5m])", 300, (20 - 60 + 120 + 60) * 300 / 240),
        ("increase(reset_total[10m])", 420, (140 - 0 + 120 + 60) * (420 + 0 + 0) / 420),
        ("delta(falling[5m])", 600, -50.0),
        ("irate(steady_total[5m])", 600, 1.0),
        ("irate(reset_total[5m])", 300, 20 / 60),
        ("idelta(reset_total[5m])", 300, -40.0),
        ("resets(reset_total[10m])", 420, 2.0),
        ("changes(reset_total[10m])", 420, 7.0),
        ("deriv(falling[5m])", 600, -10 / 60),
        ("predict_linear(falling[5m], 600)", 600, -100.0),
    ],
)
def test_the_change_of_a_window_is_stretched_to_its_ends(expr: str, seconds: float, expected: float) -> None:
    assert values(SOURCE, expr, seconds) == {"{}": pytest.approx(expected, rel=1e-12)}


def test_one_sample_has_no_rate() -> None:
    assert values(SOURCE, "rate(lone_total[5m])", 180) == {}
    assert values(SOURCE, "resets(lone_total[5m])", 180) == {"{}": 0}


def test_a_name_that_is_not_one_of_a_counter_is_told() -> None:
    text = "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket:"
    assert at(SOURCE, "rate(falling[5m])", 600).infos == [f'{text} "falling"']
    assert at(SOURCE, "rate(steady_total[5m])", 600).infos == []
    assert at(SOURCE, "delta(falling[5m])", 600).infos == []


@pytest.mark.parametrize(
    ("expr", "seconds", "expected"),
    [
        ("increase(steady_total[90s] anchored)", 150, 60),  # from the sample at the start of the window
        ("increase(steady_total[100s] anchored)", 150, 120),  # from the one before it
        ("increase(steady_total[90s] smoothed)", 150, 90),
        ("rate(steady_total[30s] smoothed)", 100, 1),  # between two samples
        ("increase(late_total[5m] anchored)", 480, 120),
        ("delta(falling[90s] smoothed)", 150, -15),
        ("increase(reset_total[2m] anchored)", 200, 60),
        ("increase(reset_total[1m] smoothed)", 330, (20 + 60 * 0.5) - 20 * 0.5),  # began anew before its start
        ("resets(reset_total[2m] anchored)", 200, 1),
        ("changes(steady_total[30s] anchored)", 60, 1),
        ("increase(steady_total[2m] anchored offset 1m)", 240, 120),
        ("increase(steady_total[2m] offset 1m anchored)", 240, 120),
    ],
)
def test_a_range_may_look_beyond_its_ends_instead_of_extrapolating(expr: str, seconds: float, expected: float) -> None:
    assert values(SOURCE, expr, seconds) == {"{}": pytest.approx(expected, rel=1e-12)}


def test_only_functions_of_a_change_can_look_beyond_a_range() -> None:
    with pytest.raises(
        PromqlError, match="anchored modifier can only be used with: changes, delta, increase, rate, resets"
    ):
        at(SOURCE, "sum_over_time(falling[5m] anchored)", 600)
    with pytest.raises(PromqlError, match="not a subquery"):
        at(SOURCE, "rate(falling[5m:1m] anchored)", 600)


def rate_by_hand(samples: list[tuple[int, float]], start: int, end: int, counter: bool) -> float | None:
    """The extrapolated change of the samples in (start, end], by one loop over plain floats."""
    inside = [(time, value) for time, value in samples if start < time <= end]
    if len(inside) < 2:
        return None
    rise = inside[-1][1] - inside[0][1]
    if counter:
        for (_, before), (_, after) in itertools.pairwise(inside):
            rise += before if after < before else 0
    sampled = (inside[-1][0] - inside[0][0]) / 1000
    distance = sampled / (len(inside) - 1)
    before, after = (inside[0][0] - start) / 1000, (end - inside[-1][0]) / 1000
    before = distance / 2 if before >= distance * 1.1 else before
    if counter and rise > 0 and inside[0][1] >= 0:
        before = min(before, sampled * (inside[0][1] / rise))
    after = distance / 2 if after >= distance * 1.1 else after
    return rise * ((sampled + before + after) / sampled)


SAMPLES = st.lists(
    st.tuples(st.integers(1, 90_000), st.sampled_from([0.0, 0.1, 1.5, 7.0, 1e9, STALE]) | st.floats(0, 1e6)),
    max_size=25,
)


@given(SAMPLES, st.integers(1000, 300_000), st.integers(1, 4), st.booleans())
def test_increase_and_delta_are_to_the_float_what_a_naive_loop_computes(
    gaps: list[tuple[int, float]], range_ms: int, steps: int, counter: bool
) -> None:
    times = np.cumsum([gap for gap, _ in gaps], dtype=np.int64)
    samples = [(int(time), value) for time, (_, value) in zip(times, gaps, strict=True)]
    source = MemorySource([Samples({"__name__": "x_total"}, times, np.array([value for _, value in gaps]))])
    known = [(time, value) for time, value in samples if not math.isnan(value)]
    name = "increase" if counter else "delta"
    found = over(source, f"{name}(x_total[{range_ms}ms])", 100 * steps, 100)
    wanted = {
        second: value
        for second in range(0, 100 * steps + 1, 100)
        if (value := rate_by_hand(known, second * 1000 - range_ms, second * 1000, counter)) is not None
    }
    assert found.get("{}", {}) == wanted
