"""Records of what was promised under an Idempotency-Key."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.promises import KEEP_NS, Promises

DAY = 24 * 3600 * 10**9


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000 * 10**9

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def promises(tmp_path: Path, clock: Clock) -> Promises:
    return Promises(Control(tmp_path / "control.db"), now_ns=clock)


def test_whoever_repeats_a_claim_gets_the_same_lane_time_and_partition(
    promises: Promises, clock: Clock, tmp_path: Path
) -> None:
    first = promises.claim("key", "a", b"digest", 4)
    clock.now += KEEP_NS - 1
    another_process = Promises(Control(tmp_path / "control.db"), now_ns=clock)
    assert another_process.claim("key", "a", b"digest", 7) == first
    assert uuid.UUID(first.lane).version == 5
    assert 0 <= first.partition < 4
    assert first.result is None


def test_a_claim_with_another_digest_shows_the_first_one(promises: Promises) -> None:
    promises.claim("key", "a", b"first", 2)
    assert promises.claim("key", "a", b"other", 2).digest == b"first"


def test_scopes_and_values_do_not_meet(promises: Promises) -> None:
    lanes = {promises.claim(scope, value, b"", 2).lane for scope in ("k", "l") for value in ("a", "b", "a\n1")}
    assert len(lanes) == 6


def test_the_first_result_stays(promises: Promises) -> None:
    promises.claim("key", "a", b"", 2)
    promises.keep("key", "a", b"one")
    promises.keep("key", "a", b"two")
    found = promises.find("key", "a")
    assert found is not None
    assert found.result == b"one"
    assert promises.find("key", "b") is None


def test_after_24_hours_a_value_is_free_again_and_has_another_lane(promises: Promises, clock: Clock) -> None:
    first = promises.claim("key", "a", b"first", 2)
    promises.keep("key", "a", b"answer")
    clock.now += KEEP_NS
    second = promises.claim("key", "a", b"second", 2)
    assert (second.digest, second.result) == (b"second", None)
    assert second.lane != first.lane
    clock.now += KEEP_NS
    assert len({first.lane, second.lane, promises.claim("key", "a", b"third", 2).lane}) == 3


def test_old_records_are_forgotten_bit_by_bit(promises: Promises, clock: Clock, tmp_path: Path) -> None:
    for number in range(150):
        promises.claim("key", str(number), b"", 2)
    clock.now += 9 * DAY + 1
    for number in range(2):
        promises.claim("key", f"new {number}", b"", 2)
    rows = Control(tmp_path / "control.db").rows("SELECT value FROM promise")
    assert sorted(rows) == [("new 0",), ("new 1",)]
