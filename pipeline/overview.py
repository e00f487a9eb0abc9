"""The instance at a glance: is it well, what do its services do, how busy is the host.

Log counts come from the roll-ups by minute, the rest from the metrics `system_*` and `http_server_*`: nothing here
reads an event, so the cost does not grow with what is stored.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from monitoring.pipeline.query.aggregate import aggregates
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.store.interface import LogStore, MetricStore
from monitoring.pipeline.store.metric_points import Points, Series

__all__ = ["WINDOW_SECONDS", "Alerts", "overview", "verdict"]

WINDOW_SECONDS = 300
"""Long enough that a quiet service still shows, short enough that trouble does not drown in what was before it."""
LATE_SECONDS, DOWN_SECONDS = 10.0, 60.0
"""Lag: a frame waits for well under a second; a killed drain is replaced within 15 s, after a minute nobody drains."""
FULL_PERCENT = 85.0
"""Of a disk, as the built-in rule has it."""
FAILING = 0.10
"""Of the requests, as the built-in rule has it."""
_MOST_SERVICES = 100
_ERROR_LEVELS = ("ERROR", "FATAL")
_MINUTE_NS = 60 * 10**9
_REQUESTS = "http_server_request_duration_seconds"
_SYSTEM = {
    "cpu_percent": "system_cpu_usage_ratio",
    "memory_percent": "system_memory_usage_ratio",
    "disk_percent": "system_disk_usage_ratio",
}

Alerts = Callable[[], dict[str, Any] | None]
"""Active and acknowledged alerts and the worst severity among them; None where there are no alerts to ask for."""


class Requests(NamedTuple):
    """Of a window: requests a second, the part that failed (5xx), and quantiles of the duration in seconds."""

    rate: float
    error_rate: float | None
    p50: float | None
    p95: float | None


def overview(
    logs: LogStore,
    metrics: MetricStore,
    status: Mapping[str, Any],
    *,
    now_ns: int,
    deadline: Deadline,
    alerts: Alerts = lambda: None,
) -> dict[str, Any]:
    """As JSON members, see docs/api.md. `status` is what `status.gather` has found."""
    first = now_ns // _MINUTE_NS * _MINUTE_NS - (WINDOW_SECONDS - 60) * 10**9
    window = (first, now_ns + _MINUTE_NS)  # whole minutes, the one that runs included: roll-ups are by minute
    counted = logs.statistics(
        "",
        *window,
        group_by=("service", "level"),
        wanted=aggregates("count"),
        buckets=1,
        limit=10_000,
        deadline=deadline,
    )
    requests = _requests(metrics.points(_REQUESTS, (), now_ns - WINDOW_SECONDS * 10**9, now_ns))
    system = {
        member: _fullest(metrics.points(name, (), now_ns - WINDOW_SECONDS * 10**9, now_ns).values())
        for member, name in _SYSTEM.items()
    }
    totals = status["totals"]
    lag = totals["lag"]
    members: dict[str, Any] = {
        "window_seconds": WINDOW_SECONDS,
        "requests": requests._asdict(),
        "system": system,
        "alerts": alerts(),
        "services": _services(counted.document()["rows"]),
        "ingest": {
            "rate": totals["events_per_second"],
            "lag_seconds": None if lag is None else lag["seconds"],
            "dead_letters": totals["dead_lettered"],
            "drops": sum(totals["dropped"].values()),
        },
    }
    state, reasons = verdict(members, status)
    return {"status": state, "reasons": reasons, **members}


def verdict(members: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[str, list[str]]:
    """`ok`, `degraded` or `down`, and everything that speaks against `ok`, the worst first."""
    lag = members["ingest"]["lag_seconds"]
    alerts, failing, disk = members["alerts"], members["requests"]["error_rate"], members["system"]["disk_percent"]
    down = [f"{problem}" for problem in status["problems"]]
    if lag is not None and lag >= DOWN_SECONDS:
        down.append(f"events have waited for {lag:.0f} s: is a worker up?")
    degraded = []
    if lag is not None and LATE_SECONDS <= lag < DOWN_SECONDS:
        degraded.append(f"events have waited for {lag:.0f} s")
    if status["totals"]["residual"]:
        degraded.append(f"the books are off by {status['totals']['residual']} events: `monitoring verify` tells more")
    if failing is not None and failing > FAILING:
        degraded.append(f"{failing:.0%} of the requests fail")
    if disk is not None and disk > FULL_PERCENT:
        degraded.append(f"a disk is {disk:.0f} % full")
    if alerts is not None and alerts["active"]:
        count = alerts["active"]
        many = "an alert is active" if count == 1 else f"{count} alerts are active"
        degraded.append(f"{many}, the worst {alerts['worst']}")
    return ("down" if down else "degraded" if degraded else "ok"), down + degraded


def _services(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    events: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for row in rows:
        service, count = row["group"]["service"] or "", row["values"]["count"]
        events[service] += count
        if row["group"]["level"] in _ERROR_LEVELS:
            errors[service] += count
    return [
        {"service": service, "events": count, "errors": errors[service]}
        for service, count in events.most_common(_MOST_SERVICES)
    ]


def _requests(found: Mapping[Series, Points]) -> Requests:
    total, failed = 0, 0
    by_bounds: dict[tuple[float, ...], list[int]] = defaultdict(list)
    for series, points in found.items():
        summed = [sum(column) for column in zip(*(point.counts for point in points.values()), strict=True)]
        count = sum(summed)
        total += count
        failed += count if str(orjson.loads(series.labels).get("status", "")).startswith("5") else 0
        known = by_bounds[series.bounds]
        by_bounds[series.bounds] = [a + b for a, b in zip(known, summed, strict=True)] if known else summed
    bounds, counts = max(by_bounds.items(), key=lambda item: sum(item[1]), default=((), []))
    return Requests(
        round(total / WINDOW_SECONDS, 3),
        round(failed / total, 4) if total else None,
        _quantile(0.50, bounds, counts),
        _quantile(0.95, bounds, counts),
    )


def _quantile(part: float, bounds: Sequence[float], counts: Sequence[int]) -> float | None:
    """As PromQL's histogram_quantile: in proportion within the bucket; above the last bound, that bound."""
    rank, below = part * sum(counts), 0
    if not sum(counts) or not bounds:
        return None
    for number, (bound, count) in enumerate(zip(bounds, counts, strict=False)):
        if count and below + count >= rank:
            low = bounds[number - 1] if number else 0.0
            return round(low + (bound - low) * (rank - below) / count, 6)
        below += count
    return float(bounds[-1])


def _fullest(found: Iterable[Points]) -> float | None:
    """The newest value of each series as a percentage, the highest of them: of hosts, or of disks."""
    values = [points[max(points)] for points in found if points]
    return round(100 * max(values), 1) if values else None
