"""A service that logs through the publisher: makes its events, waits for a line on standard input, emits them.

python -m bench.producer EVENTS SEED RATE     RATE in events a second, 0: as fast as the bus takes them
"""

from __future__ import annotations

import itertools
import json
import resource
import sys
import time

from bench.events import make
from monitoring.pipeline import settings
from monitoring.pipeline.bus.streams import StreamTransport, connect
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.publish.publisher import Publisher

__all__ = ["main"]

FULL = 30_000
"""Wait while so many events are buffered: the figure is the pipeline's speed, not what a full buffer sheds."""


def main() -> None:
    """Emit, wait until all is in the store, print what it took as a line of JSON."""
    count, seed, rate = (int(text) for text in sys.argv[1:])
    chosen = settings.load()
    publisher = Publisher(
        lambda: StreamTransport(connect(chosen.text("bus_url")), stream_length=chosen.whole("stream_length")),
        service="bench",
        choose_partition=lambda lane, partitions: seed % partitions,
    )
    events = list(make(count, seed=seed)) if not rate else []
    print("ready", flush=True)
    sys.stdin.readline()
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    if rate:
        _pace(publisher, count, seed, rate)
    else:
        _push(publisher, events)
    complete = publisher.flush(timeout_seconds=300, ack="store")
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    counters = publisher.counters()
    publisher.close()
    print(json.dumps({"complete": complete, "seconds": seconds, "cpu_seconds": cpu, "dropped": counters.dropped}))


def _push(publisher: Publisher, events: list) -> None:  # type: ignore[type-arg]  # of Event
    for number, event in enumerate(events):
        publisher.emit(event)
        if number % 1000 == 0:
            while publisher.counters().buffered > FULL:
                time.sleep(0.001)


def _pace(publisher: Publisher, count: int, seed: int, rate: int) -> None:
    """Emit in steps of ten milliseconds, each event stamped as it is emitted."""
    began = time.perf_counter()
    source = make(count, seed=seed)
    emitted = 0
    while emitted < count:
        due = min(count, int((time.perf_counter() - began) * rate) + 1)
        for event in itertools.islice(source, due - emitted):
            publisher.emit(event._replace(timestamp=wall_ns()))
        emitted = due
        time.sleep(0.01)


if __name__ == "__main__":
    main()
