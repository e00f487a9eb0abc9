"""The instance's own metrics, as families of samples: what `GET /metrics` shows.

Exact counts come from the store's books, lengths from the bus, durations and requests from what all processes of the
server count together (bus/tally.py), memory and CPU from the processes themselves.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psutil

from monitoring.pipeline.bus.tally import BOUNDS
from monitoring.pipeline.drops import known

__all__ = ["FAMILIES", "Family", "Histogram", "Vitals", "vitals"]

Labels = tuple[str, ...]


class Family(NamedTuple):
    """A metric: base name (a counter's without `_total`), kind, what it says, names of labels."""

    name: str
    kind: str
    help: str
    labels: Labels = ()


class Histogram(NamedTuple):
    """Counts by bucket, one more than `BOUNDS` has, and the sum in seconds."""

    counts: list[float]
    sum: float


_PARTITION = ("signal", "partition")
FAMILIES: tuple[Family, ...] = (
    Family("monitoring_up", "gauge", "Whether bus and store could be read: 1, else 0"),
    Family("monitoring_events_committed", "counter", "Events in the store", _PARTITION),
    Family("monitoring_events_per_second", "gauge", "Ingest rate of the last one to two minutes", _PARTITION),
    Family("monitoring_events_dead_lettered", "counter", "Events that could not be stored as such", _PARTITION),
    Family("monitoring_events_dropped", "counter", "Events that producers dropped", (*_PARTITION, "reason")),
    Family("monitoring_events_in_flight", "gauge", "Events that were sent and are not stored yet", _PARTITION),
    Family("monitoring_events_residual", "gauge", "Events by which the books are off; 0 unless something is wrong",
           _PARTITION),
    Family("monitoring_lag_frames", "gauge", "Frames that wait on the bus", _PARTITION),
    Family("monitoring_lag_seconds", "gauge", "For how long the oldest of them has waited", _PARTITION),
    Family("monitoring_store_rows", "gauge", "Rows in the store", _PARTITION),
    Family("monitoring_store_bytes", "gauge", "Bytes of its files", _PARTITION),
    Family("monitoring_store_segments", "gauge", "Segments", _PARTITION),
    Family("monitoring_commit_duration_seconds", "histogram", "Writing a batch, its fsync included", ("signal",)),
    Family("monitoring_queue_jobs", "gauge", "RQ jobs that wait", ("queue",)),
    Family("monitoring_drains", "gauge", "Drains that live"),
    Family("monitoring_http_requests", "counter", "Requests answered", ("method", "route", "status")),
    Family("monitoring_query_duration_seconds", "histogram", "Requests that search or count, until their answer"),
    Family("monitoring_notices", "gauge", "Notices in the outbox; what has ended stays for 30 days",
           ("state",)),
    Family("monitoring_alerts", "gauge", "Alerts that are kept", ("state",)),
    Family("monitoring_rules", "gauge", "Rules that are switched on, by how their last evaluation went", ("state",)),
    Family("monitoring_process_resident_memory_bytes", "gauge", "Memory of the processes of this part", ("part",)),
    Family("monitoring_process_cpu_seconds", "counter", "CPU time of the processes of this part that live", ("part",)),
)  # fmt: skip
"""All of them, in the order of the answer. A scrape is open to all: no label tells of services or hosts, nor of what
they say."""


@dataclass(slots=True)
class Vitals:
    """What was found: of each family its values by their labels."""

    values: defaultdict[str, dict[Labels, float | Histogram]] = field(default_factory=lambda: defaultdict(dict))

    def put(self, name: str, value: float | None, *labels: Any) -> None:
        """Add a value, unless it is unknown."""
        if value is not None:
            self.values[name][tuple(map(str, labels))] = value

    def families(self) -> Iterator[tuple[Family, dict[Labels, float | Histogram]]]:
        """Each family that has values, with them."""
        for family in FAMILIES:
            if family.name in self.values:
                yield family, self.values[family.name]


def vitals(
    status: Mapping[str, Any],
    tally: Mapping[str, float],
    queues: Mapping[str, int],
    processes: Mapping[str, list[int]],
    notices: Mapping[str, int],
    alerts: Mapping[str, int],
) -> Vitals:
    """Everything at once. `status` as `status.gather` gives it, with `rules`; `queues` by name, `processes` as pids by
    part, `notices` and `alerts` by state.
    """
    found = Vitals()
    found.put("monitoring_up", float(not status["problems"]))
    for partition in status["partitions"]:
        _of_partition(found, partition)
    found.put("monitoring_drains", status["drains"])
    for name, length in queues.items():
        found.put("monitoring_queue_jobs", length, name)
    _of_tally(found, tally)
    states = {"notices": notices, "alerts": alerts, "rules": {"error": 0, **status["rules"]["states"]}}
    for name, counts in states.items():
        for state, count in counts.items():
            found.put(f"monitoring_{name}", count, state)
    for part, pids in processes.items():
        usage = [used for pid in pids if (used := _usage(pid)) is not None]
        if usage:
            found.put("monitoring_process_resident_memory_bytes", sum(memory for memory, _ in usage), part)
            found.put("monitoring_process_cpu_seconds", sum(cpu for _, cpu in usage), part)
    return found


_MEMBERS = {
    "monitoring_events_committed": "committed",
    "monitoring_events_per_second": "events_per_second",
    "monitoring_events_dead_lettered": "dead_lettered",
    "monitoring_events_in_flight": "in_flight",
    "monitoring_events_residual": "residual",
    "monitoring_store_rows": "rows",
    "monitoring_store_bytes": "bytes",
    "monitoring_store_segments": "segments",
}


def _of_partition(found: Vitals, partition: Mapping[str, Any]) -> None:
    labels = (partition["signal"], partition["partition"])
    for name, member in _MEMBERS.items():
        found.put(name, partition.get(member), *labels)
    dropped: Counter[str] = Counter()
    for reason, count in partition.get("dropped", {}).items():
        dropped[known(reason)] += count
    for reason, count in dropped.items():
        found.put("monitoring_events_dropped", count, *labels, reason)
    lag = partition["lag"]
    if lag is not None:
        found.put("monitoring_lag_frames", lag["frames"], *labels)
        found.put("monitoring_lag_seconds", lag["seconds"], *labels)


def _of_tally(found: Vitals, tally: Mapping[str, float]) -> None:
    """Names are `requests|METHOD|ROUTE|STATUS`, `commit|SIGNAL|BUCKET` or `…|sum`, `query|BUCKET` or `query|sum`."""
    histograms: defaultdict[tuple[str, Labels], dict[str, float]] = defaultdict(dict)
    for name, value in tally.items():
        kind, *parts = name.split("|")
        if kind == "requests" and len(parts) == 3:
            found.put("monitoring_http_requests", value, *parts)
        elif kind in ("commit", "query") and parts:
            histograms[kind, tuple(parts[:-1])][parts[-1]] = value
    for (kind, labels), buckets in histograms.items():
        counts = [buckets.get(str(number), 0.0) for number in range(len(BOUNDS) + 1)]
        family = f"monitoring_{kind}_duration_seconds"
        found.values[family][labels] = Histogram(counts, buckets.get("sum", 0.0))


def _usage(pid: int) -> tuple[float, float] | None:
    """Resident bytes and CPU seconds; None where the process has ended."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            return float(process.memory_info().rss), float(times.user + times.system)
    except psutil.Error:
        return None
