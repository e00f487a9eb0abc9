"""After a failure the bus is tried again later each time, within bounds, and never by all at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.publish.breaker import FIRST_SECONDS, LONGEST_SECONDS, Breaker


def test_nothing_is_held_back_before_the_first_failure_and_after_a_success() -> None:
    breaker = Breaker(lambda: 0.5)
    assert breaker.closed and breaker.ready(-1e9)
    breaker.failed(10.0)
    assert not breaker.closed and not breaker.ready(10.0)
    breaker.succeeded()
    assert breaker.closed and breaker.ready(10.0)


def test_pauses_double_up_to_the_longest() -> None:
    breaker = Breaker(lambda: 1.0)
    pauses = []
    for _ in range(100):
        breaker.failed(0.0)
        pauses.append(breaker.retry_at)
    assert pauses[:4] == [FIRST_SECONDS, FIRST_SECONDS * 2, FIRST_SECONDS * 4, FIRST_SECONDS * 8]
    assert pauses[-1] == LONGEST_SECONDS


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=60), st.floats(0, 1e6))
def test_jitter_takes_at_most_half_of_a_pause(draws: list[float], now: float) -> None:
    numbers = iter(draws)
    breaker = Breaker(lambda: next(numbers))
    for count in range(len(draws)):
        breaker.failed(now)
        full = min(LONGEST_SECONDS, FIRST_SECONDS * 2**count)
        assert now + full / 2 <= breaker.retry_at <= now + full


def test_a_wish_of_the_other_side_is_honoured() -> None:
    breaker = Breaker(lambda: 0.5)
    breaker.failed(5.0, at_least=30.0)
    assert breaker.retry_at == 35.0
