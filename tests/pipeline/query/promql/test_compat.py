"""Beside Debian's Prometheus: the same samples, the same queries, the same answers. `make test-compat` runs it.

QUERIES=400 and SEED=1 say how many and which.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

import pytest

from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.promql.engine import instant, ranged
from monitoring.pipeline.query.promql.errors import PromqlError
from monitoring.pipeline.query.promql.source import Samples
from tests.pipeline.query.promql.asking import text
from tests.pipeline.query.promql.generated import BASE, Queries, series
from tests.pipeline.query.promql.memory import MemorySource
from tests.pipeline.query.promql.prometheus import BINARY, Prometheus, Reply, running

pytestmark = [
    pytest.mark.compat,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not BINARY.exists(), reason="needs Debian's package prometheus"),
]

QUERIES = int(os.environ.get("QUERIES", "400"))
SEED = int(os.environ.get("SEED", "1"))
START, END, STEP = BASE + 300, BASE + 3600, 25
"""Multiples of 5 s, on which no sample lies."""

Values = dict[str, dict[int, float]]
Both = tuple[Prometheus, MemorySource]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    made = series(SEED)
    with running(tmp_path_factory.mktemp("prometheus")) as server:
        server.write(made)
        yield server, MemorySource(made)


def theirs(reply: Reply) -> Values | str:
    """Their answer, or "error"."""
    if reply.error:
        return "error"
    kind, result = reply.data["resultType"], reply.data["result"]
    if kind == "scalar":
        result = [{"metric": {}, "value": result}]
    found: Values = {}
    for one in result:
        points = one.get("values") or [one["value"]]
        found[text(one["metric"])] = {round(at * 1000): float(value) for at, value in points}
    return found


def ours_at(source: MemorySource, expr: str, time_ms: int) -> Values | str:
    try:
        answer = instant(source, expr, time_ms, deadline=Deadline(60))
    except PromqlError:
        return "error"
    if isinstance(answer.value, float):
        return {"{}": {time_ms: answer.value}}
    points: Any = answer.value
    return {text(labels): {at: value} for labels, at, value in points}


def ours_over(source: MemorySource, expr: str) -> Values | str:
    try:
        answer = ranged(source, expr, START * 1000, END * 1000, STEP * 1000, deadline=Deadline(60))
    except PromqlError:
        return "error"
    matrix: list[Samples] = answer.value  # type: ignore[assignment]  # a range query's answer is a matrix
    return {text(one.labels): dict(zip(one.times.tolist(), one.values.tolist(), strict=True)) for one in matrix}


def same(left: float, right: float) -> bool:
    """Equal but for the last digits: 2.42 adds up with fewer compensations than 3."""
    if math.isnan(left) or math.isnan(right):
        return math.isnan(left) and math.isnan(right)
    return math.isclose(left, right, rel_tol=1e-8, abs_tol=1e-8)


def differs(wanted: Values | str, found: Values | str) -> str:
    """What is different, or nothing."""
    if isinstance(wanted, str) or isinstance(found, str):
        return "" if wanted == found else f"theirs {str(wanted)[:300]}, ours {str(found)[:300]}"
    if wanted.keys() != found.keys():
        more, less = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
        return f"only theirs {more[:3]}, only ours {less[:3]}"
    for name, points in wanted.items():
        if points.keys() != found[name].keys():
            return f"{name}: steps {sorted(points.keys() ^ found[name].keys())[:3]} on one side only"
        for at, value in points.items():
            if not same(value, found[name][at]):
                return f"{name} at {at}: theirs {value!r}, ours {found[name][at]!r}"
    return ""


def test_instant_queries_have_the_answers_of_prometheus(both: Both) -> None:
    server, source = both
    queries, wrong = Queries(SEED), []
    for number in range(QUERIES):
        expr, at = queries.vector(3), BASE + 600 + number % 100 * 25
        found = differs(theirs(server.ask("query", query=expr, time=at)), ours_at(source, expr, at * 1000))
        if found:
            wrong.append(f"{expr} @ {at}: {found}")
    assert not wrong, f"{len(wrong)} of {QUERIES}:\n" + "\n".join(wrong)


def test_range_queries_have_the_answers_of_prometheus(both: Both) -> None:
    server, source = both
    queries, wrong = Queries(SEED + 1000), []
    for _ in range(QUERIES):
        expr = queries.vector(3)
        reply = server.ask("query_range", query=expr, start=START, end=END, step=STEP)
        found = differs(theirs(reply), ours_over(source, expr))
        if found:
            wrong.append(f"{expr}: {found} {reply.error}")
    assert not wrong, f"{len(wrong)} of {QUERIES}:\n" + "\n".join(wrong)
