"""A producer for the fault tests: publishes with a spool and keeps a journal of what was acknowledged.

    python -m tests.faults.producer NAME SEED RATE JOURNALS PARTITION SPOOL BUS_URL
    python -m tests.faults.producer NAME SEED RATE JOURNALS PARTITION SPOOL API_URL KEY_FILE

The line "poison" on standard input asks for an event that kills the drain. Its end means stop: the producer
closes in order and writes its counters into the journal.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from monitoring.pipeline.bus.streams import StreamTransport, Transport, connect
from monitoring.pipeline.errors import BusUnavailable, MonitoringError
from monitoring.pipeline.events.event import Event, Rejected
from monitoring.pipeline.publish.http import HttpTransport
from monitoring.pipeline.publish.publisher import Publisher
from monitoring.pipeline.publish.spool import Spool
from tests.faults import workload
from tests.faults.journal import Journal, content_sha, raw_sha

BATCH_SECONDS = 0.1
_REFUSED_SECONDS = 0.2


class _Orders:
    """What standard input says: a thread listens."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._poison = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def take_poison(self) -> bool:
        """Whether an event that kills was ordered; once an order."""
        ordered = self._poison.is_set()
        self._poison.clear()
        return ordered

    def _listen(self) -> None:
        for line in sys.stdin:
            if line.strip() == "poison":
                self._poison.set()
        self.stop.set()


def main() -> None:
    """Emit at the rate until standard input ends."""
    name, seed, rate, journals, partition, spool, url, *key_file = sys.argv[1:]
    orders = _Orders()
    publisher = Publisher(
        lambda: _transport(url, key_file),
        service=name,
        spool=Spool(Path(spool), max_bytes=1 << 30),
        required=True,
        flush_interval_seconds=0.05,
        choose_partition=lambda lane, partitions: int(partition) % partitions,
    )
    journal = Journal(Path(journals), name)
    batch = max(1, int(int(rate) * BATCH_SECONDS))
    due = time.monotonic()
    while not orders.stop.is_set():
        if not _batch(publisher, journal, int(seed), batch, poison=orders.take_poison()):
            time.sleep(_REFUSED_SECONDS)
        due = max(due + BATCH_SECONDS, time.monotonic() - 1.0)
        time.sleep(max(0.0, due - time.monotonic()))
    publisher.flush(timeout_seconds=60.0, ack="store")
    counters = publisher.counters()
    publisher.close()
    journal.conclude(counters.emitted, counters.dropped)
    journal.close()


def _transport(url: str, key_file: list[str]) -> Transport:
    if key_file:
        try:
            return HttpTransport(url, Path(key_file[0]).read_text().strip(), timeout_seconds=5.0)
        except FileNotFoundError as error:
            raise BusUnavailable("the API has not made its key yet") from error
    return StreamTransport(connect(url, timeout_seconds=2.0), stream_length=20_000)


def _batch(publisher: Publisher, journal: Journal, seed: int, count: int, *, poison: bool) -> bool:
    """Emit a batch and journal its acknowledgement; False where it was refused or not acknowledged in time."""
    events: list[Event] = []
    rejected: list[Rejected] = []
    shas: list[tuple[int, bool]] = []
    for number in range(journal.next, journal.next + count):
        if workload.is_rejected(seed, journal.producer, number):
            rejected.append(workload.rejected(seed, journal.producer, number))
            shas.append((raw_sha(rejected[-1].raw), True))
        else:
            events.append(workload.event(seed, journal.producer, number, poison=poison and not events))
            shas.append((content_sha(events[-1]), False))
    numbers = journal.intend_mixed(shas)
    try:
        publisher.emit_all(events, rejected)
    except MonitoringError as error:
        journal.refused(numbers)
        print(f"{journal.producer}: {error}", file=sys.stderr, flush=True)
        return False
    if not publisher.flush(timeout_seconds=30.0, ack="spool"):
        return False
    journal.acknowledge(numbers)
    return True


if __name__ == "__main__":
    main()
