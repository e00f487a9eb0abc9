"""A producer of metrics for the fault tests: counts, ships what a registry gathered, and keeps a journal of it.

    python -m tests.faults.counting NAME SEED RATE JOURNALS SPOOL BUS_URL

RATE is in increments a second. Standard input at its end means stop: the producer closes in order.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from pathlib import Path

from monitoring.pipeline.bus.streams import StreamTransport, connect
from monitoring.pipeline.publish.publisher import Publisher
from monitoring.pipeline.publish.spool import Spool
from monitoring.producers.registry import Registry
from monitoring.producers.shipping import Reporter
from tests.faults.counts import CountsJournal

ROUND_SECONDS = 0.25
_SHARDS = 40
_METRIC = "faults_counted_total"
_LAST_SECONDS = 60.0


def main() -> None:
    """Count at the rate until standard input ends."""
    name, seed, rate, journals, spool, url = sys.argv[1:]
    stop = threading.Event()
    threading.Thread(target=_until_told, args=(stop,), daemon=True).start()
    publisher = Publisher(
        lambda: StreamTransport(connect(url, timeout_seconds=2.0), stream_length=20_000),
        service=name,
        signal="metrics",
        spool=Spool(Path(spool), max_bytes=1 << 30),
        required=True,
        flush_interval_seconds=0.05,
    )
    counting = _Counting(name, int(seed), publisher, Path(journals))
    count = max(1, min(_SHARDS, int(int(rate) * ROUND_SECONDS)))
    while not stop.wait(ROUND_SECONDS):
        counting.round(count)
    counting.close()


def _until_told(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


class _Counting:
    """A registry's counter, what was journaled of it, and how much of that is where."""

    def __init__(self, name: str, seed: int, publisher: Publisher, journals: Path) -> None:
        registry = Registry()
        self._counter = registry.counter(_METRIC, "What the producer of the fault tests counted.", labels=("shard",))
        self._reporter = Reporter(registry, publisher, service=name)
        self._publisher = publisher
        self._journal = CountsJournal(journals, name)
        self._chance = random.Random(f"{seed}/{name}")
        self._under_way: list[tuple[int, int]] = []  # rounds, and how many deltas were emitted up to each

    def round(self, count: int) -> None:
        """Count into so many series, ship it, and write down how safe it is."""
        shards = self._chance.sample(range(_SHARDS), count)
        increments = {str(shard): self._chance.randrange(1, 1000) for shard in shards}
        number = self._journal.intend(increments)
        for shard, increment in increments.items():
            self._counter.inc(increment, shard=shard)
        if not self._reporter.ship(time.time_ns()):
            return  # the registry goes on adding up, and the next round's deltas hold this one's too
        self._under_way.append((number, self._publisher.counters().emitted))
        if self._publisher.flush(timeout_seconds=30.0, ack="spool"):
            self._journal.acknowledge(number)
        self._note_stored()

    def close(self) -> None:
        """Ship what is left, wait until all is committed, and close."""
        until = time.monotonic() + _LAST_SECONDS
        while not (self._reporter.ship(time.time_ns()) and self._publisher.flush(5.0, ack="store")):
            if time.monotonic() > until:
                raise TimeoutError(f"not committed within {_LAST_SECONDS:g} s: {self._publisher.counters()}")
        self._journal.conclude()
        self._publisher.close()
        self._journal.close()

    def _note_stored(self) -> None:
        committed = self._publisher.counters().committed
        stored = [number for number, emitted in self._under_way if emitted <= committed]
        if stored:
            self._journal.stored(stored[-1])
            del self._under_way[: len(stored)]


if __name__ == "__main__":
    main()
