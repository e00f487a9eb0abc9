"""A producer for the fault tests: publishes with a spool and keeps a journal of what was acknowledged.

    python -m tests.faults.producer NAME SEED PARTITION RATE JOURNALS SPOOL

Standard input at its end means stop: it closes in order and writes its counters into the journal.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from monitoring.pipeline.bus.streams import StreamTransport, connect
from monitoring.pipeline.errors import MonitoringError
from monitoring.pipeline.publish.publisher import Publisher
from tests.faults import workload
from tests.faults.journal import Journal, content_sha, raw_sha

BATCH_SECONDS = 0.1
_REFUSED_SECONDS = 0.2


def main() -> None:
    """Emit at the rate until standard input ends."""
    name, seed, partition, rate, journals, spool = sys.argv[1:]
    stop = threading.Event()
    threading.Thread(target=_until_told, args=(stop,), daemon=True).start()
    publisher = Publisher(
        lambda: StreamTransport(connect(os.environ["MONITORING_BUS_URL"], timeout_seconds=2.0), stream_length=20_000),
        service=name,
        spool_dir=Path(spool),
        required=True,
        flush_interval_seconds=0.05,
        choose_partition=lambda lane, partitions: int(partition) % partitions,
    )
    journal = Journal(Path(journals), name)
    batch = max(1, int(int(rate) * BATCH_SECONDS))
    due = time.monotonic()
    while not stop.is_set():
        if not _batch(publisher, journal, int(seed), name, batch):
            time.sleep(_REFUSED_SECONDS)
        due = max(due + BATCH_SECONDS, time.monotonic() - 1.0)
        time.sleep(max(0.0, due - time.monotonic()))
    publisher.flush(timeout_seconds=60.0, ack="store")
    counters = publisher.counters()
    publisher.close()
    journal.conclude(counters.emitted, counters.dropped)
    journal.close()


def _until_told(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


def _batch(publisher: Publisher, journal: Journal, seed: int, name: str, count: int) -> bool:
    """Emit a batch and journal its acknowledgement; False where it was refused, in part or whole."""
    numbers = range(journal.next, journal.next + count)
    odd = {number for number in numbers if workload.is_rejected(seed, name, number)}
    events = [workload.event(seed, name, number) for number in numbers if number not in odd]
    rejected = [workload.rejected(seed, name, number) for number in numbers if number in odd]
    good, bad = iter(events), iter(rejected)
    journal.intend_mixed(
        (raw_sha(next(bad).raw), True) if n in odd else (content_sha(next(good)), False) for n in numbers
    )
    try:
        publisher.emit_all(events, rejected)
        if publisher.flush(timeout_seconds=30.0, ack="spool"):
            journal.acknowledge(numbers)
            return True
    except MonitoringError as error:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
    return False


if __name__ == "__main__":
    main()
