"""Sizes on paper hold in the simulation, and the page shows what the arithmetic gives."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from bench.sizing import LOADS, Failure, assumed, measured, need, simulate, tables

PAGE = Path(__file__).parents[2] / "docs" / "sizing.md"
_BLOCK = re.compile(r"(<!-- sizing: .*? -->\n)(.*?)(<!-- /sizing -->)", re.DOTALL)


def test_the_page_shows_what_the_arithmetic_gives():
    """RENEW=1 writes it."""
    text = PAGE.read_text()
    renewed = _BLOCK.sub(lambda found: found[1] + tables() + found[3], text)
    if os.environ.get("RENEW"):
        PAGE.write_text(renewed)
    assert PAGE.read_text() == renewed


@pytest.mark.parametrize("load", [1, 999, *LOADS, 3_000_000])
def test_a_size_keeps_up_and_holds_an_outage(load):
    needed = need(load)
    assert needed.drains * measured("drain_events_per_second") * assumed("usage") >= load
    assert needed.partitions >= 2 * needed.drains
    assert needed.bus_primaries == 1 or needed.bus_primaries >= 3
    assert simulate(needed, seconds=30).most_seconds < 2
    outage = simulate(needed, [Failure(10, 600, drains=needed.drains)])
    assert outage.most_bytes <= needed.bus_primaries * assumed("bus_memory_gb") * 1e9 / 2 * 1.02
    assert outage.recovered_after_seconds is not None


def test_a_dead_drains_partitions_wait_for_the_take_over_and_only_those_of_a_servers_for_it():
    needed = need(100_000)
    died = simulate(needed, [Failure(10, 60, drains=1)])
    assert measured("takeover_seconds") <= died.most_seconds < measured("takeover_seconds") + 2
    away = simulate(needed, [Failure(10, 20, bus_servers=1)])
    assert 20 <= away.most_seconds < 22
    all_away = simulate(needed, [Failure(10, 20, bus_servers=needed.bus_primaries)])
    assert all_away.most_bytes > 2 * away.most_bytes


def test_more_than_the_drains_write_is_never_caught_up_with():
    needed = need(10_000)
    assert simulate(needed, load={0: 100.0}, seconds=60).recovered_after_seconds is None
    with pytest.raises(ValueError, match="above 0"):
        need(0)
