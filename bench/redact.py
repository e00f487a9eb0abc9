"""What redaction costs: CPU an event, with and without secrets, beside Python's `re` with the same patterns.

    python -m bench.redact --events 50000

Batches are of 1,000 events as the SDK publishes them; every event is seen once, so that ids, digests and tokens are new
each time. The first batches are left out of a row and shown beside it: RE2 builds its automata as it reads.
"""

from __future__ import annotations

import argparse
import base64
import random
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import orjson

from bench.events import make
from bench.machine import describe
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.redact import Redactor
from monitoring.pipeline.redact.sieve import patterns

__all__ = ["main"]

BATCH = 1000
WARM_UP = 5
OWN = {"badge": r"\bB-\d{4}\b", "ticket": r"\bT[A-Z]{2}-\d{6}\b", "room": r"room (?P<secret>\d+[a-z])"}


def plain(count: int) -> Iterator[Event]:
    """The events of the other benchmarks: 340 bytes as JSON, half of them text."""
    return make(count, seed=1)


def random_ids(count: int) -> Iterator[Event]:
    """Requests to a model: 450 bytes of attributes, most of them ids, digests and base 64 that are all different."""
    rng = random.Random(2)
    for event in make(count, seed=2):
        attributes = {
            "path": f"/v1/models/{rng.randrange(1000)}/completions",
            "request_id": f"{rng.getrandbits(128):032x}",
            "conversation": f"{rng.getrandbits(32):08x}-{rng.getrandbits(16):04x}-{rng.getrandbits(48):012x}",
            "etag": f"{rng.getrandbits(128):032x}",
            "usage": {"prompt_tokens": rng.randrange(4000), "completion_tokens": rng.randrange(900)},
            "max_tokens": 4096,
            "cache_key": f"prompt:{rng.getrandbits(64):016x}",
            "loss": rng.random() * 5,
            "cursor": base64.b64encode(rng.randbytes(48)).decode(),
        }
        yield event._replace(attributes=orjson.dumps(attributes).decode())


def dirty(count: int, share: int) -> Iterator[Event]:
    """Requests with a secret in every so manyth: a password in the message, a token among the attributes."""
    rng = random.Random(3)
    for index, event in enumerate(make(count, seed=3)):
        secret = base64.urlsafe_b64encode(rng.randbytes(30)).decode()
        if index % share:
            yield event
        elif index % (2 * share):
            yield event._replace(message=f"login failed for user=bob password={secret[:12]} after 3 tries")
        else:
            document = {**orjson.loads(event.attributes), "headers": {"authorization": f"Bearer {secret}"}}
            yield event._replace(attributes=orjson.dumps(document).decode())


def batches(events: Iterator[Event]) -> list[list[Event]]:
    """The events in lists of 1,000."""
    everything = list(events)
    return [everything[at : at + BATCH] for at in range(0, len(everything), BATCH)]


def with_re(sought: Sequence[str]) -> Callable[[list[Event]], object]:
    """The sieve's three passes over the same joined texts, done by Python's `re`."""
    compiled = [re.compile(pattern.encode()) for pattern in sought]

    def look(batch: list[Event]) -> int:
        joined = ["\x1e".join(column).encode() for column in zip(*((e[7], e[11], e[12]) for e in batch), strict=True)]
        return sum(1 for pattern in compiled for data in joined for _ in pattern.finditer(data))

    return look


def measure(name: str, work: Callable[[list[Event]], object], found: list[list[Event]]) -> float:
    """Print and return the median CPU microseconds an event of a batch."""
    costs = []
    for batch in found:
        started = time.process_time()
        work(batch)
        costs.append((time.process_time() - started) / len(batch) * 1e6)
    steady = costs[min(WARM_UP, len(costs) - 1) :]
    median = statistics.median(steady)
    print(f"{name:52}{median:8.2f}{min(steady):8.2f}{max(costs):10.2f}", flush=True)
    return median


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000)
    options = parser.parse_args(arguments)
    count = max(BATCH, options.events)
    started = time.process_time()
    redactor = Redactor()
    print(f"{describe()}; a Redactor is made in {(time.process_time() - started) * 1e3:.0f} ms")
    print(f"{'CPU us an event':52}{'median':>8}{'least':>8}{'first':>10}")
    ours = [measure(name, redactor.events, batches(events)) for name, events in _kinds(count)]
    measure("plain events, three own patterns", Redactor(patterns=OWN).events, batches(plain(count)))
    theirs = with_re(patterns())
    few = min(count, 5 * BATCH)  # they are slow
    for (name, events), cost in zip(_kinds(few)[:2], ours, strict=False):
        slow = measure(f"{name}: the sieve's patterns in `re`", theirs, batches(events))
        print(f"{'':52}{slow / cost:7.0f} times as much")


def _kinds(count: int) -> list[tuple[str, Iterator[Event]]]:
    return [
        ("plain events, nothing to hide", plain(count)),
        ("requests full of random ids, nothing to hide", random_ids(count)),
        ("plain events, a secret in one of 20", dirty(count, 20)),
        ("plain events, a secret in each", dirty(count, 1)),
    ]


if __name__ == "__main__":
    main()
