"""Quantiles and fractions of classic histograms."""

from __future__ import annotations

import math

import pytest

from tests.pipeline.query.promql.asking import at, over, values
from tests.pipeline.query.promql.memory import MemorySource

NAN, INF = math.nan, math.inf
SOURCE = MemorySource(
    """
    h_bucket{le="0.1"}             2x9
    h_bucket{le="1"}               6x9
    h_bucket{le="10"}              8x9
    h_bucket{le="+Inf"}            10x9
    negative_bucket{le="-2"}       4x9
    negative_bucket{le="2"}        8x9
    negative_bucket{le="+Inf"}     8x9
    open_bucket{le="1"}            4x9
    lonely_bucket{le="+Inf"}       4x9
    zero_bucket{le="1"}            0x9
    zero_bucket{le="+Inf"}         0x9
    falling_bucket{le="1"}         5x9
    falling_bucket{le="2"}         4x9
    falling_bucket{le="+Inf"}      10x9
    rounded_bucket{le="1"}         5
    rounded_bucket{le="2"}         4.9999999999999
    rounded_bucket{le="+Inf"}      10
    twice_bucket{le="1"}           1x9
    twice_bucket{le="1.0"}         1x9
    twice_bucket{le="+Inf"}        4x9
    odd_bucket{le="one"}           1x9
    odd_bucket                     1x9
    odd_bucket{le="1"}             1x9
    odd_bucket{le="Inf"}           2x9
    coming_bucket{le="1"}          2x9
    coming_bucket{le="2"}          _ _ 4x7
    coming_bucket{le="+Inf"}       4x9
    """
)


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("histogram_quantile(0.5, h_bucket)", 0.1 + 0.9 * 3 / 4),
        ("histogram_quantile(0.1, h_bucket)", 0.05),
        ("histogram_quantile(0.8, h_bucket)", 10),
        ("histogram_quantile(0.95, h_bucket)", 10),  # in the bucket without an end: the highest bound
        ("histogram_quantile(0, h_bucket)", 0),
        ("histogram_quantile(1, h_bucket)", 10),
        ("histogram_quantile(-0.1, h_bucket)", -INF),
        ("histogram_quantile(1.1, h_bucket)", INF),
        ("histogram_quantile(NaN, h_bucket)", NAN),
        ("histogram_quantile(0.25, negative_bucket)", -2),
        ("histogram_quantile(0.75, negative_bucket)", 0),
        ("histogram_quantile(0.5, open_bucket)", NAN),
        ("histogram_quantile(0.5, lonely_bucket)", NAN),
        ("histogram_quantile(0.5, zero_bucket)", NAN),
        ("histogram_quantile(0.6, falling_bucket)", 2),
        ("histogram_quantile(0.25, twice_bucket)", 0.5),
        ("histogram_quantile(0.5, odd_bucket)", 1),
        ("histogram_fraction(0, 0.1, h_bucket)", 0.2),
        ("histogram_fraction(0.1, 1, h_bucket)", 0.4),
        ("histogram_fraction(0, 0.55, h_bucket)", 0.4),
        ("histogram_fraction(-Inf, +Inf, h_bucket)", 1),
        ("histogram_fraction(10, +Inf, h_bucket)", 0.2),
        ("histogram_fraction(1, 0.5, h_bucket)", 0),
        ("histogram_fraction(0, NaN, h_bucket)", NAN),
        ("histogram_fraction(0, 1, zero_bucket)", NAN),
    ],
)
def test_quantiles_and_fractions_are_linear_within_a_bucket(expr: str, expected: float) -> None:
    assert values(SOURCE, expr) == {"{}": pytest.approx(expected, nan_ok=True)}


def test_buckets_may_come_later() -> None:
    found = over(SOURCE, "histogram_quantile(0.5, coming_bucket)", 180)
    assert found == {"{}": {0: 1, 60: 1, 120: 1, 180: 1}}
    found = over(SOURCE, "histogram_quantile(0.75, coming_bucket)", 180)
    assert found == {"{}": {0: 1, 60: 1, 120: 1.5, 180: 1.5}}


def test_histograms_are_told_apart_by_their_other_labels() -> None:
    source = MemorySource(
        """
        a_bucket{job="x",le="1"} 1
        a_bucket{job="x",le="+Inf"} 1
        a_bucket{job="y",le="2"} 1
        a_bucket{job="y",le="+Inf"} 1
        """
    )
    assert values(source, "histogram_quantile(0.5, a_bucket)") == {'{job="x"}': 0.5, '{job="y"}': 1}
    assert values(source, "histogram_quantile(0.5, sum by (le) (a_bucket))") == {"{}": 1}


def test_several_quantiles_at_once_are_told_apart_by_a_label() -> None:
    found = values(SOURCE, 'histogram_quantiles(h_bucket, "q", 0.1, 0.8)')
    assert found == {'{q="0.1"}': pytest.approx(0.05), '{q="0.8"}': 10}


def test_what_is_odd_about_buckets_is_told() -> None:
    odd = at(SOURCE, "histogram_quantile(0.5, odd_bucket)").warnings
    assert odd == [
        'PromQL warning: bucket label "le" is missing or has a malformed value of "one" for metric name "odd_bucket"',
        'PromQL warning: bucket label "le" is missing or has a malformed value of "" for metric name "odd_bucket"',
    ]
    (fixed,) = at(SOURCE, "histogram_quantile(0.6, falling_bucket)").infos
    assert fixed.startswith("PromQL info: input to histogram_quantile needed to be fixed for monotonicity")
    assert at(SOURCE, "histogram_quantile(0.6, rounded_bucket)").infos == []
    assert at(SOURCE, "histogram_quantile(2, h_bucket)").warnings == [
        "PromQL warning: quantile value should be between 0 and 1, got 2"
    ]
