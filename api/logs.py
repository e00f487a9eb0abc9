"""`GET /api/v1/logs` and `GET /api/v1/logs/<id>`: search, a page at a time, and single events."""

from __future__ import annotations

import time
from typing import Any

from monitoring.api.problems import Problem
from monitoring.api.routes import Answer, Call, whole_number
from monitoring.api.runtime import Runtime
from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.errors import MonitoringError, QuerySyntaxError
from monitoring.pipeline.query import search as searching
from monitoring.pipeline.query.completeness import complete_through
from monitoring.pipeline.query.limits import DEFAULT_EVENTS, MAX_EVENTS, Deadline
from monitoring.pipeline.query.ranges import EARLIEST, LATEST, moment

__all__ = ["one", "search"]

ORDERS: dict[str, searching.Order] = {"newest": "newest", "oldest": "oldest", "desc": "newest", "asc": "oldest"}


def search(call: Call) -> Answer:
    """Search: a page of the events that match."""
    began = time.perf_counter()
    params, runtime = call.params, call.runtime
    limit = whole_number(params.get("limit"), field="limit", default=DEFAULT_EVENTS, most=MAX_EVENTS)
    order = ORDERS.get(params.get("order", "newest"))
    if order is None:
        raise Problem(400, "not an order", field="order", fix="newest or oldest")
    complete = _complete_through(runtime)  # before the search: what arrives meanwhile only makes it truer
    try:
        page = runtime.store.search(
            params.get("query", ""),
            _moment(call, "start", EARLIEST),
            _moment(call, "end", LATEST),
            order=order,
            limit=limit,
            cursor=params.get("cursor") or None,
            deadline=_deadline(runtime),
        )
    except searching.CursorInvalid as error:
        raise Problem(
            400, str(error), field="cursor", fix="leave it out, or send next_cursor as it was given"
        ) from error
    answer: dict[str, Any] = {
        "events": page.events,
        "next_cursor": page.next_cursor,
        "complete_through": complete,
        "took_ms": round((time.perf_counter() - began) * 1000, 3),
    }
    if page.partial_reason is not None:
        answer["partial"] = {"reason": page.partial_reason}
    return answer


def one(call: Call, event_id: str) -> Answer:
    """One event by its id."""
    found = call.runtime.store.event(event_id, deadline=_deadline(call.runtime))
    if found is None:
        raise Problem(404, "there is no such event (any more)", field="id", fix="take the id from a search")
    return found


def _moment(call: Call, name: str, default: int) -> int:
    text = call.params.get(name)
    if not text:
        return default
    try:
        return moment(text, call.runtime.now_ns())
    except QuerySyntaxError as error:
        raise Problem(400, f"{text[:60]!r} is no time", field=name, fix=error.hint) from error


def _complete_through(runtime: Runtime) -> str | None:
    """What was sent before this moment is searchable; None while the bus cannot tell."""
    try:
        now = runtime.now_ns()
        return rfc3339(complete_through(runtime.streams, runtime.catalog.partitions(), now))
    except MonitoringError:
        return None


def _deadline(runtime: Runtime) -> Deadline:
    return Deadline(runtime.settings.number("query_timeout"))
