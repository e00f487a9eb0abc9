"""Events as a service would send them, each a pure function of seed, producer and number.

About 340 bytes, four attributes, unique trace ids; times that collide and run backwards; text that is awkward
for indexes, JSON and SQL; now and then an input that is no event. Every event carries its key in `request_id`.
"""

from __future__ import annotations

import json
import random

from monitoring.pipeline.events.event import Event, Rejected
from tests.faults.journal import event_key

__all__ = ["POISON", "T0_NS", "event", "is_rejected", "rejected"]

T0_NS = 1_750_000_000_000_000_000
"""Events begin in June 2025: in the past of every clock that a fault sets back by less than months."""
POISON = "this-event-kills-the-drain"
"""What the failpoint `poison` looks for in index texts."""

_SERVICES = ("api", "trainer", "evaluator", "prompt-cache", "billing")
_HOSTS = tuple(f"node-{number}" for number in range(7))
_LOGGERS = ("app.web", "app.jobs", "llm.runs", "sql")
_LEVELS = (5, 9, 9, 9, 9, 9, 13, 17, 21, 10)
_WORDS = (
    "connection", "refused", "timeout", "model", "loaded", "checkpoint", "token", "prompt", "cache", "missed", "retry",
    "batch", "gradient", "step", "evaluated", "request", "finished", "slow", "queue", "worker",
)  # fmt: skip
_AWKWARD = (
    'quote " and \\ backslash', "two\nlines\tand a tab", "snowman \u2603 and \U0001f600", "\ue000l5 looks like a token",
    "'; DROP TABLE log; --", "\u65e5\u672c\u8a9e\u306e\u30ed\u30b0", "%s {} $HOME", "x" * 3000,
)  # fmt: skip


def _random(seed: int, producer: str, number: int) -> random.Random:
    return random.Random(f"{seed}/{producer}/{number}")


def is_rejected(seed: int, producer: str, number: int) -> bool:
    """Whether this number stands for an input that is no event: one in five hundred."""
    return random.Random(f"{seed}/{producer}/{number}/kind").random() < 0.002


def event(seed: int, producer: str, number: int, *, poison: bool = False) -> Event:
    """The event of this number."""
    chance = _random(seed, producer, number)
    message = " ".join(chance.choices(_WORDS, k=9))
    if chance.random() < 0.02:
        message += " " + chance.choice(_AWKWARD)
    if poison:
        message += f" {POISON}"
    # Mostly rising by a millisecond; some collide on a full second, some are late by up to an hour.
    time_ns = T0_NS + number * 1_000_000 + chance.randrange(1_000_000)
    kind = chance.random()
    if kind < 0.05:
        time_ns -= time_ns % 1_000_000_000
    elif kind < 0.07:
        time_ns -= chance.randrange(3_600_000_000_000)
    attributes = {
        "user_id": chance.randrange(100_000), "duration_ms": round(chance.random() * 900, 2),
        "path": f"/api/v1/runs/{chance.randrange(5000)}", "run": f"{chance.getrandbits(64):016x}",
    }  # fmt: skip
    failed = chance.random() < 0.01
    return Event(
        timestamp=time_ns, level=chance.choice(_LEVELS), service=chance.choice(_SERVICES),
        environment=chance.choice(("production", "staging", "")), release="2025.6.1" if chance.random() < 0.9 else "",
        logger=chance.choice(_LOGGERS), host=chance.choice(_HOSTS), message=message,
        trace_id=f"{chance.getrandbits(128):032x}", span_id=f"{chance.getrandbits(64):016x}",
        request_id=event_key(producer, number),
        exception=json.dumps(f"Traceback:\n  line {number}\nValueError: {chance.random()}") if failed else "",
        attributes=json.dumps(attributes, separators=(",", ":")),
    )  # fmt: skip


def rejected(seed: int, producer: str, number: int) -> Rejected:
    """The input of this number that is no event."""
    chance = _random(seed, producer, number)
    raw = event_key(producer, number).encode() + b" " + chance.randbytes(chance.randrange(200))
    return Rejected("not an event", raw, f"{producer}.log", number)
