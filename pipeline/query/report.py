"""What a period was like: volumes, error rates, top errors, slow routes, and what is new since the period before.

Asked of whatever answers the analyses, a store or an instance over HTTP. Each part says itself where it is not whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.query.follow import Paged
from monitoring.pipeline.query.search import Order
from monitoring.pipeline.query.templates import Templates

__all__ = ["Analysis", "Asked", "report"]

ERROR_LEVELS = ("ERROR", "FATAL")
ERRORS_QUERY = "level:>=error"
MOST_ERRORS = 10_000
"""Errors that are looked into for their fingerprints, the newest."""
_PAGE = 1000
_TOP = 10
"""Lines of each list: a page to read in the morning."""
ROUTE_FIELDS = ("http.route", "route", "path")
"""Attributes that name what was called, the first that events have: OpenTelemetry's name, and usual ones."""
DURATION = "duration_ms"
_NEW_FROM = 2
"""Times that a message must have come to be a pattern."""


class Analysis(Protocol):
    """An answer as the API gives it, and why it is not whole."""

    @property
    def document(self) -> dict[str, Any]:
        """The answer."""
        ...

    @property
    def partial(self) -> str | None:
        """The reason; None where it is whole."""
        ...


class Asked(Protocol):
    """What is asked. Times are nanoseconds since 1970."""

    def stats(
        self, query: str, start: int, end: int, *, group_by: Sequence[str], wanted: str, buckets: int, limit: int
    ) -> Analysis:
        """Aggregates of the events in [start, end) by groups."""
        ...

    def patterns(self, query: str, start: int, end: int, *, limit: int) -> Analysis:
        """Templates of the newest messages in [start, end)."""
        ...

    def page(self, query: str, start: int, end: int, *, order: Order, limit: int, cursor: str | None) -> Paged:
        """A page of events in [start, end)."""
        ...


def report(source: Asked, start: int, end: int) -> dict[str, Any]:
    """The report on [start, end), compared with the period of the same length before it."""
    before = start - (end - start)
    partial: dict[str, str] = {}
    now, then = (_volumes(source, *period, partial) for period in ((start, end), (before, start)))
    return {
        "start": rfc3339(start),
        "end": rfc3339(end),
        "events": _compared(now, then),
        "services": [
            {"service": name, **_compared(_of(now, name), _of(then, name))}
            for name, _ in _by_service(now).most_common(_TOP)
        ],
        "errors": _errors(source, start, end),
        "slowest_routes": _routes(source, start, end, partial),
        "new_patterns": _new_patterns(source, before, start, end, partial),
        "partial": partial,
    }


_Volumes = Counter[tuple[str, str]]
"""Events by service and level."""


def _volumes(source: Asked, start: int, end: int, partial: dict[str, str]) -> _Volumes:
    found = source.stats("*", start, end, group_by=("service", "level"), wanted="count", buckets=1, limit=10_000)
    if found.partial:
        partial["volumes"] = found.partial
    return Counter({
        (row["group"]["service"] or "", row["group"]["level"]): row["values"]["count"] for row in found.document["rows"]
    })  # fmt: skip


def _by_service(volumes: _Volumes) -> Counter[str]:
    found = Counter[str]()
    for (service, _), count in volumes.items():
        found[service] += count
    return found


def _of(volumes: _Volumes, service: str) -> _Volumes:
    return Counter({key: count for key, count in volumes.items() if key[0] == service})


def _compared(now: _Volumes, then: _Volumes) -> dict[str, Any]:
    levels = Counter[str]()
    for (_, level), count in now.items():
        levels[level] += count
    return {
        "total": now.total(),
        "previous_total": then.total(),
        "levels": dict(levels),
        "errors": _error_count(now),
        "error_rate": _error_rate(now),
        "previous_error_rate": _error_rate(then),
    }


def _error_count(volumes: _Volumes) -> int:
    return sum(count for (_, level), count in volumes.items() if level in ERROR_LEVELS)


def _error_rate(volumes: _Volumes) -> float | None:
    total = volumes.total()
    return _error_count(volumes) / total if total else None


def _errors(source: Asked, start: int, end: int) -> list[dict[str, Any]]:
    """The commonest errors: by the fingerprint of their exception, else by the template of their message."""
    templates, found = Templates(), dict[Any, dict[str, Any]]()
    cursor, looked = None, 0
    while looked < MOST_ERRORS:
        page = source.page(ERRORS_QUERY, start, end, order="newest", limit=_PAGE, cursor=cursor)
        for event in page.events:
            exception = event["exception"] if isinstance(event["exception"], dict) else {}
            mark = exception.get("fingerprint")
            key = mark if isinstance(mark, str) else templates.fold(event["message"])
            if key not in found:  # the newest first
                found[key] = {"fingerprint": mark if isinstance(mark, str) else None, "count": 0,
                              "title": _title(event, exception), "service": event["service"],
                              "last_seen": event["timestamp"], "example": event["id"]}  # fmt: skip
            found[key]["count"] += 1
            found[key]["first_seen"] = event["timestamp"]
        looked += len(page.events)
        cursor = page.next_cursor
        if cursor is None:
            break
    return sorted(found.values(), key=lambda error: -error["count"])[:_TOP]


def _title(event: dict[str, Any], exception: dict[str, Any]) -> str:
    """One line that tells the error."""
    kind, text = exception.get("type"), exception.get("message")
    title = f"{kind}: {text}" if isinstance(kind, str) and isinstance(text, str) and text else event["message"]
    return str(title).partition("\n")[0]


def _routes(source: Asked, start: int, end: int, partial: dict[str, str]) -> list[dict[str, Any]]:
    wanted = f"count,p50({DURATION}),p95({DURATION}),max({DURATION})"
    for name in ROUTE_FIELDS:
        found = source.stats(f'has:{DURATION} has:"{name}"', start, end, group_by=(name,), wanted=wanted, buckets=1,
                             limit=10_000)  # fmt: skip
        rows = [row for row in found.document["rows"] if row["values"][f"p95({DURATION})"] is not None]
        if found.partial and (rows or found.partial == "time"):
            partial["slowest_routes"] = found.partial
        if rows:
            rows.sort(key=lambda row: -row["values"][f"p95({DURATION})"])
            return [{"route": row["group"][name], "requests": row["values"]["count"],
                     **{f"{part}_ms": row["values"][f"{part}({DURATION})"] for part in ("p50", "p95", "max")}}
                    for row in rows[:_TOP]]  # fmt: skip
    return []


def _new_patterns(source: Asked, before: int, start: int, end: int, partial: dict[str, str]) -> list[dict[str, Any]]:
    """Templates that no message of the period before had; both periods by their newest messages."""
    then = source.patterns("*", before, start, limit=1000)
    now = source.patterns("*", start, end, limit=1000)
    if then.partial or now.partial:
        partial["new_patterns"] = now.partial or then.partial or ""
    elif then.document["sampled"] or now.document["sampled"]:
        partial["new_patterns"] = "sampled"
    templates = Templates()
    known = {templates.fold(pattern["template"]) for pattern in then.document["patterns"]}
    fresh = [
        pattern for pattern in now.document["patterns"]
        if pattern["count"] >= _NEW_FROM and templates.fold(pattern["template"]) not in known
    ]  # fmt: skip
    return [{**pattern, "example": pattern["example"]["id"]} for pattern in fresh[:_TOP]]
