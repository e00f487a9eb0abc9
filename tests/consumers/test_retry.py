"""What becomes of a message after a try: properties of the decision."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitoring.consumers.channels.outcome import Refused, TryLater
from monitoring.consumers.retry import FIRST_SECONDS, LONGEST_SECONDS, backoff_seconds, judge
from monitoring.pipeline.store.outbox import LONGEST_WAIT_NS, Message, Notice

HOUR_NS = 3600 * 10**9
attempts = st.integers(1, 10_000)
luck = st.floats(0, 1, exclude_max=True)
seconds = st.one_of(st.none(), st.floats(0, 1e7))


def message(tries: int, event: str = "firing") -> Message:
    return Message("m", "c", (Notice("k", "c", event, "", b"{}", 0),), 0, tries, "")


@given(attempts, luck)
def test_a_backoff_grows_is_spread_and_bounded(tries: int, chance: float) -> None:
    wait = backoff_seconds(tries, chance)
    assert FIRST_SECONDS / 2 <= wait <= LONGEST_SECONDS
    assert backoff_seconds(tries, 0.999) / backoff_seconds(tries, 0) > 1.9
    assert backoff_seconds(tries + 1, chance) >= wait


@given(attempts, luck, seconds, st.integers(0, 2 * HOUR_NS))
def test_a_passing_trouble_is_tried_again_until_the_deadline_and_no_sooner_than_asked(
    tries: int, chance: float, after: float | None, now: int
) -> None:
    verdict = judge(
        message(tries), TryLater("busy", after_seconds=after), deadline_seconds=3600, now_ns=now, luck=chance
    )
    if verdict.state == "failed":
        assert now >= HOUR_NS or (
            after is not None and now + min(after * 1e9, LONGEST_WAIT_NS) >= HOUR_NS - 121 * 10**9
        )
        return
    assert verdict.state == "waiting"
    assert now + verdict.wait_ns <= HOUR_NS
    assert verdict.pause is (after is not None)
    if after is not None:
        assert verdict.wait_ns >= min(int(after * 1e9), LONGEST_WAIT_NS)


def test_a_refusal_is_final_a_reply_is_the_end_and_a_test_is_tried_once() -> None:
    for outcome, event, state in (
        (Refused("no"), "firing", "failed"),
        ("200", "firing", "sent"),
        (TryLater("busy"), "test", "failed"),
        (RuntimeError("unforeseen"), "firing", "waiting"),
    ):
        assert judge(message(1, event), outcome, deadline_seconds=10, now_ns=1, luck=0.5).state == state
