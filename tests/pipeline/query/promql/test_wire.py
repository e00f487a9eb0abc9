"""Prometheus' JSON: numbers as Go prints them, times, durations."""

from __future__ import annotations

import math

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.query.named import NAMED
from monitoring.pipeline.query.promql.engine import Answer
from monitoring.pipeline.query.promql.errors import PromqlError
from monitoring.pipeline.query.promql.parse import parse
from monitoring.pipeline.query.promql.source import Samples
from monitoring.pipeline.query.promql.wire import check_range, encode_answer, moment_ms, number, step_ms
from tests.pipeline.query.promql.asking import values
from tests.pipeline.query.promql.memory import MemorySource


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"), (-0.0, "-0"), (0.1, "0.1"), (1e-6, "0.000001"), (1e-7, "1e-07"), (1.5e20, "150000000000000000000"),
        (1e21, "1e+21"), (1.7e308, "1.7e+308"), (1e16, "10000000000000000"), (float("nan"), "NaN"),
        (math.inf, "+Inf"), (-math.inf, "-Inf"),
    ],
)  # fmt: skip
def test_a_number_is_the_shortest_text_without_an_exponent_where_that_is_readable(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats())
def test_every_number_reads_back_as_itself(value: float) -> None:
    read = float(number(value))
    assert read == value or (math.isnan(read) and math.isnan(value))


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("12", 12_000), ("1.5", 1500), ("-3.25", -3250), ("1e3", 1_000_000), ("2026-01-01T00:00:00Z", 1_767_225_600_000),
     ("2026-01-01T01:00:00.5+01:00", 1_767_225_600_500)],
)  # fmt: skip
def test_times_are_seconds_or_rfc_3339(text: str, milliseconds: int) -> None:
    assert moment_ms(text, "time") == milliseconds


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "1e400", "2026-01-01T00:00:00", "--1", "1.2.3"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(PromqlError, match='invalid parameter "time"'):
        moment_ms(text, "time")


@pytest.mark.parametrize(("text", "milliseconds"), [("15", 15_000), ("0.5", 500), ("1h30m", 5_400_000), ("10ms", 10)])
def test_steps_are_seconds_or_durations(text: str, milliseconds: int) -> None:
    assert step_ms(text, "step") == milliseconds


@pytest.mark.parametrize("text", ["", "m", "1x", "1m1h", "1e300"])
def test_what_is_no_step_is_refused(text: str) -> None:
    with pytest.raises(PromqlError, match="valid duration"):
        step_ms(text, "step")


def test_a_range_of_11_000_steps_is_the_longest() -> None:
    check_range(0, 11_000_000, 1000)
    with pytest.raises(PromqlError, match="11,000 points"):
        check_range(0, 11_001_000, 1000)


def test_a_matrix_has_its_points_in_order_with_labels_sorted() -> None:
    series = Samples({"b": "2", "a": '"1"'}, np.array([-1500, 0, 1250]), np.array([1.0, math.nan, 0.5]))
    found = orjson.loads(encode_answer(Answer("matrix", [series], ["careful"]), 0))
    assert found["data"]["result"] == [
        {"metric": {"a": '"1"', "b": "2"}, "values": [[-1.5, "1"], [0, "NaN"], [1.25, "0.5"]]}
    ]
    assert found["warnings"] == ["careful"]


@pytest.mark.parametrize("name", NAMED)
def test_every_named_query_is_promql(name: str) -> None:
    parse(NAMED[name].expr)


def test_a_part_that_was_never_counted_is_nothing_and_not_unknown() -> None:
    name = "http_server_request_duration_seconds_count"
    source = MemorySource(
        f"""
        {name}{{service="a",status="200"}} 0+60x9
        {name}{{service="b",status="200"}} 0+60x9
        {name}{{service="b",status="503"}} 0+20x9
        """
    )
    assert values(source, NAMED["error_rate"].expr, 540) == {'{service="a"}': 0, '{service="b"}': 0.25}


@given(st.lists(st.floats(width=64) | st.integers(-(10**22), 10**22).map(float), max_size=20))
def test_the_values_of_a_series_are_written_as_each_by_itself(said: list[float]) -> None:
    times = np.arange(len(said), dtype=np.int64) * 1500
    document = encode_answer(Answer("matrix", [Samples({}, times, np.array(said, dtype=np.float64))]), 0)
    points = orjson.loads(document)["data"]["result"][0]["values"]
    assert points == [[time / 1000, number(value)] for time, value in zip(times.tolist(), said, strict=True)]
