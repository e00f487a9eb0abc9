"""The overview: what speaks against ok, and quantiles of histograms."""

from __future__ import annotations

from typing import Any

import pytest

from monitoring.pipeline.overview import _quantile, verdict

WELL: dict[str, Any] = {
    "ingest": {"lag_seconds": 0.1},
    "requests": {"error_rate": 0.0},
    "system": {"disk_percent": 10.0},
    "alerts": None,
}
STATUS: dict[str, Any] = {"problems": [], "totals": {"residual": 0}}


def test_an_instance_is_ok_where_nothing_speaks_against_it_or_nothing_is_known() -> None:
    assert verdict(WELL, STATUS) == ("ok", [])
    unknown = {"ingest": {"lag_seconds": None}, "requests": {"error_rate": None}, "system": {"disk_percent": None}}
    assert verdict({**unknown, "alerts": None}, STATUS) == ("ok", [])


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"ingest": {"lag_seconds": 11.0}}, "degraded"),
        ({"ingest": {"lag_seconds": 61.0}}, "down"),
        ({"requests": {"error_rate": 0.2}}, "degraded"),
        ({"system": {"disk_percent": 90.0}}, "degraded"),
        ({"alerts": {"active": 1, "acknowledged": 0, "worst": "critical"}}, "degraded"),
        ({"alerts": {"active": 0, "acknowledged": 3, "worst": "critical"}}, "ok"),
    ],
)
def test_what_passes_a_limit_is_a_reason(change: dict[str, Any], state: str) -> None:
    found, reasons = verdict(WELL | change, STATUS)
    assert found == state
    assert len(reasons) == (state != "ok")


def test_what_cannot_be_read_means_down_and_comes_first() -> None:
    found, reasons = verdict(WELL | {"requests": {"error_rate": 0.5}}, STATUS | {"problems": ["bus: away"]})
    assert (found, reasons[0]) == ("down", "bus: away")


def test_a_quantile_lies_in_its_bucket_in_proportion_and_above_the_last_bound_at_that() -> None:
    assert _quantile(0.5, (1.0, 2.0), [0, 10, 0]) == 1.5
    assert _quantile(0.5, (1.0, 2.0), [10, 0, 0]) == 0.5
    assert _quantile(0.95, (1.0, 2.0), [0, 0, 10]) == 2.0
    assert _quantile(0.5, (), []) is None
