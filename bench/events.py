"""Realistic events: about 340 bytes each, four attributes, trace ids that are all different."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import orjson

from monitoring.pipeline.events.event import Event

__all__ = ["make", "mean_bytes"]

_SERVICES = ("api", "worker", "gateway", "trainer", "evaluator", "cache")
_VERBS = ("loaded", "evicted", "scheduled", "retried", "finished", "rejected", "queued", "refreshed", "compiled")
_NOUNS = ("model", "prompt", "batch", "checkpoint", "request", "session", "token", "dataset", "shard", "adapter")
_PLACES = ("from the cache", "on the second try", "after a timeout", "for the tenant", "in the background")
_LEVELS = (5, 9, 13, 17)
_WEIGHTS = (10, 80, 6, 4)


def make(count: int, *, seed: int, start_ns: int | None = None) -> Iterator[Event]:
    """So many events, a few microseconds apart, ending about now unless they start at `start_ns`."""
    rng = random.Random(seed)
    now = time.time_ns() - count * 15_000 if start_ns is None else start_ns
    service = _SERVICES[seed % len(_SERVICES)]
    for level in rng.choices(_LEVELS, _WEIGHTS, k=count):
        now += rng.randrange(1_000, 30_000)
        noun = rng.choice(_NOUNS)
        took = rng.randrange(1, 3000)
        attributes = {
            "user_id": rng.randrange(1, 100_000),
            "path": f"/api/v1/{noun}s/{rng.randrange(1, 1000)}",
            "duration_ms": took,
            "status": rng.choice((200, 200, 200, 200, 404, 500)),
        }
        message = f"{noun} {rng.randrange(1, 50_000)} {rng.choice(_VERBS)} {rng.choice(_PLACES)} within {took} ms"
        yield Event(
            timestamp=now,
            level=level,
            service=service,
            logger=f"platform.{noun}s",
            host=f"node-{seed % 4 + 1}",
            message=message,
            trace_id=f"{rng.getrandbits(128):032x}",
            span_id=f"{rng.getrandbits(64):016x}",
            attributes=orjson.dumps(attributes).decode(),
        )


def mean_bytes(count: int = 2000) -> float:
    """Size of such an event as a line of JSON, without what it does not have."""
    documents = ({**event._asdict(), "attributes": orjson.loads(event.attributes)} for event in make(count, seed=1))
    return (
        sum(len(orjson.dumps({key: value for key, value in document.items() if value})) for document in documents)
        / count
    )
