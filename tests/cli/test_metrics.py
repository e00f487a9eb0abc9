"""`monitoring metrics`: charts, tables and numbers, of the data directory here or of an instance over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from monitoring.cli import main
from monitoring.cli.plot import Line, figure, plot
from monitoring.pipeline.query.named import NAMED
from monitoring.pipeline.settings import TABLE
from tests.deltas import SECOND, T
from tests.metricstore import fill, grown

END = T // SECOND


@pytest.fixture
def data(tmp_path: Path) -> Path:
    fill(tmp_path / "data", [*grown(channel="web"), *grown(channel="app")])
    return tmp_path / "data"


def run(data: Path, *arguments: str) -> Result:
    clean = dict.fromkeys(["REDIS_URL", *(row.name for row in TABLE)])
    return CliRunner().invoke(main, ["metrics", *arguments], env={**clean, "MONITORING_DATA_DIR": str(data)})


RANGE = ("--since", str(END - 240), "--until", str(END))


def test_a_range_is_drawn_with_a_legend(data: Path) -> None:
    result = run(data, "sum by (channel) (rate(orders_total[1m]))", *RANGE, "--step", "30s")
    assert result.exit_code == 0
    shown = click.unstyle(result.output)
    assert "channel=app}  last 0.5" in shown
    assert "channel=web}  last 0.5" in shown
    assert any(0x2800 < ord(character) < 0x2900 for character in shown)


def test_json_is_what_prometheus_answers(data: Path) -> None:
    found = json.loads(run(data, "orders_total", *RANGE, "--step", "60s", "--json").output)
    assert found["status"] == "success"
    assert [len(series["values"]) for series in found["data"]["result"]] == [5, 5]


def test_the_newest_values_are_a_table(data: Path) -> None:
    result = run(data, "sum(increase(orders_total[1m]))", "--until", str(END), "--since", "1970-01-01", "--now")
    assert result.output.split() == ["series", "value", "{}", "60"]


def test_a_range_vector_now_is_a_table_of_its_samples(data: Path) -> None:
    result = run(data, 'orders_total{channel="web"}[30s]', "--until", str(END), "--since", "1970-01-01", "--now")
    assert result.exit_code == 0, result.output
    first, *rows = result.output.splitlines()
    assert first.split() == ["series", "at", "value"]
    assert len(rows) == 3
    assert all("channel=web" in row and "Z" in row for row in rows)


def test_every_named_query_is_listed_and_can_be_asked(data: Path) -> None:
    listed = run(data, "--list").output
    assert all(name in listed for name in NAMED)
    assert [each["name"] for each in json.loads(run(data, "--list", "--json").output)] == list(NAMED)
    result = run(data, "request_rate", *RANGE)
    assert result.exit_code == 0
    assert "no series has a value there" in result.output


def test_a_name_that_nothing_has_is_met_with_those_like_it(data: Path) -> None:
    assert "did you mean orders_total" in run(data, "order_total", *RANGE).output
    assert "did you mean request_rate" in run(data, "requests_rate", *RANGE).output
    assert "did you mean" not in run(data, "orders_total", "--since", "2001-01-01", "--until", "2001-01-02").output


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ((), 2, "an expression is needed"),
        (("1", "--step", "x"), 2, "no duration"),
        (("1", "--since", "1h", "--until", "2020-01-01"), 2, "not before"),
        (("sum(",), 1, "parse error"),
    ],
)
def test_what_cannot_be_asked_is_told(data: Path, arguments: tuple[str, ...], status: int, says: str) -> None:
    result = run(data, *arguments)
    assert result.exit_code == status
    assert says in result.output


def test_a_chart_fills_its_room_and_leaves_gaps() -> None:
    points = [(0.0, 0.0), (50.0, 10.0), (60.0, float("nan")), (100.0, 5.0)]
    rows = [click.unstyle(row) for row in plot([Line("a", points)], 0, 100, width=60, height=8)]
    assert len(rows) == 10
    assert all(len(row) <= 60 for row in rows)
    assert rows[0].lstrip().startswith("10┤")
    assert rows[7].lstrip().startswith("0┤")


@pytest.mark.parametrize(("value", "text"), [(1234567.0, "1.23M"), (0.25, "0.25"), (float("nan"), "-"), (2e12, "2T")])
def test_figures_are_short(value: float, text: str) -> None:
    assert figure(value) == text
