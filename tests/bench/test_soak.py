"""What a soak test calls growth."""

from __future__ import annotations

import random

from bench.soak.verdict import findings, slope
from bench.soak.watch import Sample


def _samples(memory_mb_per_hour: float = 0.0, descriptors: int = 0, wal: int = 0, slower: float = 1.0) -> list[Sample]:
    """An hour of samples every ten seconds, with the noise that processes have."""
    chance = random.Random(1)
    return [
        Sample(
            time=number * 10.0,
            memory={"api": int(40e6 + memory_mb_per_hour * 1e6 * number / 360 + chance.uniform(-1e6, 1e6))},
            descriptors={"api": 30 + descriptors * number // 360},
            wal=wal,
            disk=0,
            answer=0.01 * (slower if number > 240 else 1.0),
            arrival=0.2,
        )
        for number in range(360)
    ]


def _bad(samples: list[Sample]) -> list[str]:
    return [finding.what for finding in findings(samples) if not finding.good]


def test_a_run_in_which_nothing_grows_is_good() -> None:
    assert _bad(_samples()) == []


def test_memory_that_grows_by_two_megabytes_an_hour_is_found_in_noise_of_two() -> None:
    assert _bad(_samples(memory_mb_per_hour=2.0)) == ["memory of api"]


def test_descriptors_that_are_left_open_are_found() -> None:
    assert _bad(_samples(descriptors=20)) == ["descriptors of api"]


def test_a_log_of_sqlite_that_is_not_bounded_is_found() -> None:
    assert _bad(_samples(wal=100_000_000)) == ["largest WAL"]


def test_answers_that_become_slower_are_found() -> None:
    assert _bad(_samples(slower=2.0)) == ["answers, last third to first"]


def test_a_slope_is_not_moved_by_single_peaks() -> None:
    line = [(float(x), 3.0 * x) for x in range(100)]
    line[50] = (50.0, 1e6)
    assert abs(slope(line) - 3.0) < 1e-9
    assert slope(line[:1]) == 0.0
