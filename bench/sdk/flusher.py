"""What an event costs behind the caller's back: the CPU of the process less that of the thread that logs.

Everybody logs the same events, all different, at the same steady rate; who has no thread in the background is not
here. Ours redacts, encodes and publishes to a real server; what the others do is said in their rows.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

import orjson

from bench.events import make
from bench.sdk.bus import Bus
from bench.sdk.own import OURS
from bench.sdk.peers import PEERS, Peer
from bench.sdk.table import Table, holds, spread
from bench.sdk.worker import Round, compare

__all__ = ["load", "run"]

BUDGET = 8.0
"""Microseconds of CPU an event, section 12 of the design."""
STEP_SECONDS = 0.01
RATE = 20_000
"""Events a second: a third of what one drain writes; a step of it (200) overflows nobody's queue."""
SLOW_RATE = 1000
ROUNDS = 8
SHORT_ROUNDS = 1
_VARIETY = 2000
"""Different events, used again and again."""
_SECRETS = (
    {"authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
    {"password": "correct-horse-battery"},
    {"dsn": "postgres://app:hunter2secret@db.internal:5432/shop"},
    {"card": "4111 1111 1111 1111"},
)


class Row(NamedTuple):
    """A line of the table: which peer, at what rate, one event in how many with a secret."""

    key: str
    title: str
    peer: str = "ours"
    rate: int = RATE
    dirty_every: int = 0


ROWS = (
    Row("ours", "ours: redact, encode, publish"),
    Row("ours_dirty", "ours, 1 % with secrets", dirty_every=100),
    Row("ours_slow", f"ours, {SLOW_RATE:,} events/s", rate=SLOW_RATE),
    Row("stdlib_queue", "stdlib QueueListener: JSON to /dev/null", "stdlib_queue"),
    Row("opentelemetry", "OpenTelemetry: dropped as it is", "opentelemetry"),
    Row("opentelemetry_otlp", "OpenTelemetry: OTLP encoded, dropped", "opentelemetry_otlp"),
    Row("sentry_logs", "Sentry logs: dropped as they are", "sentry_logs"),
)


def _events(dirty_every: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Messages with four fields, without end; now and then a fifth that must not be sent."""
    made: list[tuple[str, dict[str, Any]]] = [
        (event.message, orjson.loads(event.attributes)) for event in make(_VARIETY, seed=1)
    ]
    if dirty_every:
        for number, index in enumerate(range(0, _VARIETY, dirty_every)):
            message, fields = made[index]
            made[index] = (message, {**fields, **_SECRETS[number % len(_SECRETS)]})
    return itertools.cycle(made)


def load(name: str, url: str) -> Callable[..., Round]:
    """The row of this name, ready to be measured. Raises ImportError where its peer is not installed."""
    row = next(row for row in ROWS if row.key == name)
    peer = OURS[row.peer](url, collectors="none") if row.peer in OURS else PEERS[row.peer](url)
    events = _events(row.dirty_every)
    return lambda seconds: _measure(peer, events, row.rate, seconds)


def _measure(peer: Peer, events: Iterator[tuple[str, dict[str, Any]]], rate: int, seconds: float) -> Round:
    write, delivered = peer.write, peer.delivered
    assert write is not None and delivered is not None
    number, before, waited = 0, delivered(), 0.0
    process, thread, began = time.process_time(), time.thread_time(), time.perf_counter()
    while number < rate * seconds:
        started = time.perf_counter()
        for message, fields in itertools.islice(events, int(rate * STEP_SECONDS)):
            write(message, fields)
        waited += time.perf_counter() - started
        number += int(rate * STEP_SECONDS)
        time.sleep(max(0.0, began + number / rate - time.perf_counter()))
    thread = time.thread_time() - thread
    peer.settle()  # may be done in this thread, and is the background's work all the same
    process = time.process_time() - process
    arrived = delivered() - before
    return {
        "background": (process - thread) / max(1, arrived) * 1e6,
        "caller": thread / number * 1e6,
        "wall": waited / number * 1e6,
        "arrived": arrived / number * 100,
    }


def run(bus: Bus, *, short: bool) -> Table:
    """Measure all of them."""
    options = {row.key: {"seconds": 0.2 if short else 1.0 if row.rate == RATE else 3.0} for row in ROWS}
    rounds = SHORT_ROUNDS if short else ROUNDS
    found = compare("bench.sdk.flusher", options, url=bus.url, rounds=rounds, meanwhile=bus.absorb)
    table = Table(
        "flusher",
        f"us CPU an event in the background, at {RATE:,} events/s",
        ("background", "min..max", "x ours", "budget", "holds", "caller", "wall", "arrived %"),
    )
    for row in ROWS:
        if row.key in found.rounds:
            table.add(row.key, row.title, **_figures(row, found.rounds[row.key], found.rounds["ours"]))
        else:
            table.leave_out(row.title, found.missing[row.key])
    return table


def _figures(row: Row, rounds: Sequence[Round], reference: Sequence[Round]) -> Mapping[str, Any]:
    middle = {name: median(each[name] for each in rounds) for name in rounds[0]}
    budget = BUDGET if row.peer == "ours" else None
    return {
        **middle,
        "arrived %": round(middle["arrived"]),
        "min..max": spread([each["background"] for each in rounds]),
        "x ours": middle["background"] / median(each["background"] for each in reference),
        "budget": budget,
        "holds": holds(middle["background"], budget),
    }
