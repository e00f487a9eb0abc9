"""Binary operators: which series meet, and what becomes of their labels."""

from __future__ import annotations

import pytest

from monitoring.pipeline.query.promql.errors import PromqlError
from tests.pipeline.query.promql.asking import at, over, values
from tests.pipeline.query.promql.memory import MemorySource

SOURCE = MemorySource(
    """
    errors{method="get",code="500"}   24
    errors{method="get",code="404"}   30
    errors{method="put",code="501"}   3
    errors{method="post",code="500"}  6
    requests{method="get"}            600
    requests{method="del"}            34
    requests{method="post"}           120
    owner{method="get",team="red"}    1
    owner{method="post"}              1
    twice{x="1"}                      1
    twice{x="2"}                      2
    late{method="get"}                _ 5
    early{method="get"}               7 stale
    """
)
GET_500, GET_404, POST_500 = '{code="500",method="get"}', '{code="404",method="get"}', '{code="500",method="post"}'


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("requests + requests", {'{method="get"}': 1200, '{method="del"}': 68, '{method="post"}': 240}),
        ("requests * 2 > 200", {'{method="get"}': 1200, '{method="post"}': 240}),
        ("100 < requests", {'requests{method="get"}': 600, 'requests{method="post"}': 120}),
        ("100 < bool requests", {'{method="get"}': 1, '{method="del"}': 0, '{method="post"}': 1}),
        ("requests > requests", {}),
        (
            "requests == requests",
            {'requests{method="get"}': 600, 'requests{method="del"}': 34, 'requests{method="post"}': 120},
        ),
        ("requests != bool requests", {'{method="get"}': 0, '{method="del"}': 0, '{method="post"}': 0}),
        ('errors{code="500"} / ignoring (code) requests', {'{method="get"}': 0.04, '{method="post"}': 0.05}),
        ('errors{code="500"} / on (method) requests', {'{method="get"}': 0.04, '{method="post"}': 0.05}),
        ("errors / ignoring (code) group_left () requests", {GET_500: 0.04, GET_404: 0.05, POST_500: 0.05}),
        ("requests / ignoring (code) group_right () errors", {GET_500: 25, GET_404: 20, POST_500: 20}),
        ("errors > on (method) group_left () requests", {}),
        (
            "errors < on (method) group_left () requests",
            {"errors" + GET_500: 24, "errors" + GET_404: 30, "errors" + POST_500: 6},
        ),
        (
            "requests > on (method) group_right () errors",
            {"errors" + GET_500: 600, "errors" + GET_404: 600, "errors" + POST_500: 120},
        ),
        (
            "requests * on (method) group_left (team) owner",
            {'{method="get",team="red"}': 600, '{method="post"}': 120},
        ),
        ('errors{code="500"} == on (method) errors{code="500"}', {'{method="get"}': 24, '{method="post"}': 6}),
        ("requests and on (method) owner", {'requests{method="get"}': 600, 'requests{method="post"}': 120}),
        ("requests unless on (method) owner", {'requests{method="del"}': 34}),
        (
            'requests{method="del"} or errors{code="501"}',
            {'requests{method="del"}': 34, 'errors{code="501",method="put"}': 3},
        ),
        (
            'requests{method="get"} or ignoring (code) errors{code="500"}',
            {'requests{method="get"}': 600, "errors" + POST_500: 6},
        ),
        (
            "requests and on () vector(0)",
            {'requests{method="get"}': 600, 'requests{method="del"}': 34, 'requests{method="post"}': 120},
        ),
        ("requests and on () nothing", {}),
        ("requests + nothing", {}),
        (
            "requests + on (method) fill_right (0) owner",
            {'{method="get"}': 601, '{method="del"}': 34, '{method="post"}': 121},
        ),
        (
            'owner + on (method) fill (0) requests{method="del"}',
            {'{method="get"}': 1, '{method="post"}': 1, '{method="del"}': 34},
        ),
    ],
)
def test_operators(expr: str, expected: dict[str, float]) -> None:
    assert values(SOURCE, expr) == expected


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (
            "requests * on () twice",
            "found duplicate series for the match group {} on the right hand-side of the operation: "
            '[{__name__="twice", x="2"}, {__name__="twice", x="1"}]'
            ";many-to-many matching not allowed: matching labels must be unique on one side",
        ),
        (
            "errors * on (method) group_right () errors",
            'found duplicate series for the match group {method="get"} on the left hand-side of the operation: '
            '[{__name__="errors", code="404", method="get"}, {__name__="errors", code="500", method="get"}]'
            ";many-to-many matching not allowed: matching labels must be unique on one side",
        ),
        (
            "errors / ignoring (code) requests",
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
        ),
        (
            "errors * on (method) group_left (code) requests",
            "multiple matches for labels: grouping labels must ensure unique matches",
        ),
    ],
)
def test_series_that_meet_more_than_one_are_refused(expr: str, text: str) -> None:
    with pytest.raises(PromqlError) as refused:
        at(SOURCE, expr)
    assert str(refused.value) == text


def test_series_meet_only_where_both_are() -> None:
    assert over(SOURCE, "early + late", 120) == {}
    assert over(SOURCE, "early or late", 120) == {'early{method="get"}': {0: 7}, 'late{method="get"}': {60: 5, 120: 5}}
    assert over(SOURCE, '{__name__=~"early|late"} + on (method) requests', 120) == {
        '{method="get"}': {0: 607, 60: 605, 120: 605}
    }
    assert over(SOURCE, "requests unless on (method) early", 60)['requests{method="get"}'] == {60: 600}


def test_a_query_may_not_load_more_than_its_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.pipeline.query.promql.query.MAX_SAMPLES", 5)
    with pytest.raises(PromqlError, match="too many samples"):
        at(SOURCE, "errors + errors")
