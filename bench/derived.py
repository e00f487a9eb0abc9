"""What metrics derived from logs cost the drain: CPU an event for none, one, ten and a hundred definitions.

python -m bench.derived                  20 commits of 10,000 events a row
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from bench.bare import entry_of
from bench.events import make
from bench.machine import describe
from monitoring.pipeline.bus.frame import Frame, encode_payload, seal
from monitoring.pipeline.derived.definition import Definition, definition_of
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.partition import Limits, acquire

__all__ = ["main", "run"]

_BATCH = 10_000
_LIMITS = Limits(segment_events=1 << 30, segment_bytes=1 << 40, segment_age_seconds=1e12, disk_reserve_bytes=0)
_ROWS = {
    "none": [],
    "errors by logger": [("level:error", "", ["logger"])],
    "status 500 by path": [("status:500", "", ["path"])],
    "a word": [("tenant", "", [])],
    "every event by level": [("*", "", ["level"])],
    "a histogram of every event": [("has:duration_ms", "duration_ms", ["status"])],
    "10 of attributes": [(f"status:500 user_id:>{number}", "", ["logger"]) for number in range(10)],
    "100 of attributes": [(f"status:500 user_id:>{number}", "", ["logger"]) for number in range(100)],
}
"""Name of the row: query, field and labels of each definition."""


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commits", type=int, default=20)
    arguments = parser.parse_args()
    print(describe())
    print("| definitions | us CPU an event | more than none | frames kept |\n|---|--:|--:|--:|")
    base = 0.0
    for name, rows in _ROWS.items():
        cost, frames = run([_definition(place, *row) for place, row in enumerate(rows)], arguments.commits)
        base = base or cost
        print(f"| {name} | {cost:.1f} | {cost - base:.1f} | {frames} |", flush=True)


def _definition(place: int, query: str, field: str, labels: list[str]) -> Definition:
    members = {"name": f"derived_{place}", "kind": "histogram" if field else "counter", "query": query}
    return definition_of({**members, "field": field, "labels": labels})


def run(definitions: list[Definition], commits: int) -> tuple[float, int]:
    """Microseconds of CPU an event, of the middle commit, and how many frames wait to be sent."""
    events = list(make(_BATCH * commits, seed=1))
    with tempfile.TemporaryDirectory() as directory:
        catalog = Catalog.create_or_open(Path(directory) / CATALOG_FILE, partitions=1)
        writer = acquire(catalog, "logs", 0, _LIMITS)
        assert writer is not None and writer.deriving is not None
        writer.set_load(heavy=True)
        writer.derive(definitions)
        costs = []
        for number in range(commits):
            part = events[number * _BATCH : (number + 1) * _BATCH]
            batch = writer.admit([entry_of(_frame(number + 1, part))])
            began = time.process_time()
            writer.write(batch)
            costs.append((time.process_time() - began) / _BATCH * 1e6)
        position = writer.deriving.outbox.position
        writer.release()
        catalog.close()
    return statistics.median(costs), position.seq if position else 0


def _frame(seq: int, events: list[Event]) -> Frame:
    return seal(
        lane="0" * 31 + "1", seq=seq, released_below=seq, signal="logs", count=len(events), created=time.time_ns(),
        counters={"emitted": seq * _BATCH, "dropped": {}}, payload=encode_payload(events),
    )  # fmt: skip


if __name__ == "__main__":
    main()
