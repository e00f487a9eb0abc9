"""What becomes of a message after a try: a pure decision, with its reason."""

from __future__ import annotations

from typing import Literal, NamedTuple

from monitoring.consumers.channels.outcome import Refused, TryLater
from monitoring.pipeline.store.outbox import LONGEST_WAIT_NS, Message

__all__ = ["FIRST_SECONDS", "LONGEST_SECONDS", "Verdict", "backoff_seconds", "judge"]

FIRST_SECONDS = 2.0
"""A restarted mail server or a lost connection is back within seconds."""
LONGEST_SECONDS = 120.0
"""Between two tries in a long outage: people learn of it within two minutes of its end."""


class Verdict(NamedTuple):
    """`state` is what the notices become, `wait_ns` when to try again, `pause` whether the whole channel waits."""

    state: Literal["sent", "failed", "waiting"]
    said: str
    wait_ns: int = 0
    pause: bool = False
    progress: str = ""


def backoff_seconds(attempts: int, luck: float) -> float:
    """How long to wait after so many tries; `luck` in [0, 1) spreads the waits over their upper half.

    Full doubling with equal jitter: what failed together does not come back together.
    """
    ceiling = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(attempts - 1, 16))
    return ceiling * (0.5 + luck / 2)


def judge(message: Message, outcome: str | Exception, *, deadline_seconds: float, now_ns: int, luck: float) -> Verdict:
    """What to do after a try that ended with a reply or an error."""
    if isinstance(outcome, str):
        return Verdict("sent", outcome)
    said = str(outcome) if isinstance(outcome, Refused | TryLater) else f"{type(outcome).__name__}: {outcome}"
    if isinstance(outcome, Refused):
        return Verdict("failed", said)
    if all(notice.event == "test" for notice in message.notices):
        return Verdict("failed", said)  # somebody waits for the answer
    after = outcome.after_seconds if isinstance(outcome, TryLater) else None
    progress = outcome.progress if isinstance(outcome, TryLater) else message.progress
    left_ns = message.created + int(deadline_seconds * 1e9) - now_ns
    wait_ns = int(backoff_seconds(message.attempts, luck) * 1e9)
    if after is not None:
        wait_ns = min(max(wait_ns, int(after * 1e9)), LONGEST_WAIT_NS)
    if left_ns <= 0 or (after is not None and wait_ns > left_ns):
        return Verdict("failed", f"not delivered within {deadline_seconds:g} s, {message.attempts} tries; last: {said}")
    return Verdict("waiting", said, min(wait_ns, left_ns), after is not None, progress)
