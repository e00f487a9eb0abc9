"""`GET /api/v1/logs` and `GET /api/v1/logs/<id>`: search, a page at a time, and single events."""

from __future__ import annotations

from typing import Any

from monitoring.api import asking
from monitoring.api.params import Text, Whole
from monitoring.api.problems import Problem
from monitoring.api.routes import Answer, Call, Route
from monitoring.pipeline.query import search as searching
from monitoring.pipeline.query.context import DEFAULT_NEIGHBOURS, MAX_NEIGHBOURS
from monitoring.pipeline.query.limits import DEFAULT_EVENTS, MAX_EVENTS

__all__ = ["ROUTES", "context", "one", "search"]


LIMIT = Whole("limit", "events of a page", default=DEFAULT_EVENTS, most=MAX_EVENTS)
CURSOR = Text("cursor", "next_cursor of the page before")
BEFORE = Whole("before", "neighbours", default=DEFAULT_NEIGHBOURS, most=MAX_NEIGHBOURS, least=0)
AFTER = Whole("after", "neighbours", default=DEFAULT_NEIGHBOURS, most=MAX_NEIGHBOURS, least=0)


def search(call: Call) -> Answer:
    """Search: a page of the events that match."""
    params, runtime = call.params, call.runtime
    limit = LIMIT.of(params)
    order = asking.order(call, "newest")
    start, end = asking.span(call)

    def page() -> tuple[dict[str, Any], str | None]:
        found = runtime.store.search(
            params.get("query", ""), start, end, order=order, limit=limit, cursor=params.get("cursor") or None,
            deadline=asking.deadline(runtime),
        )  # fmt: skip
        return {"events": found.events, "next_cursor": found.next_cursor}, found.partial_reason

    try:
        return asking.answered(call, page)
    except searching.CursorInvalid as error:
        raise Problem(
            400, str(error), field="cursor", fix="leave it out, or send next_cursor as it was given"
        ) from error


def one(call: Call, event_id: str) -> Answer:
    """One event by its id."""
    with call.runtime.gate.entered():
        found = call.runtime.store.event(event_id, deadline=asking.deadline(call.runtime))
    if found is None:
        raise _no_event()
    return found


def context(call: Call, event_id: str) -> Answer:
    """An event among its neighbours: what the same service on the same host said right before and after."""
    sizes = {"before": BEFORE.of(call.params), "after": AFTER.of(call.params)}

    def neighbours() -> tuple[dict[str, Any], str | None]:
        found = call.runtime.store.context(event_id, **sizes, deadline=asking.deadline(call.runtime))
        if found is None:
            raise _no_event()
        return found.document(), found.partial_reason

    return asking.answered(call, neighbours)


def _no_event() -> Problem:
    return Problem(404, "there is no such event (any more)", field="id", fix="take the id from a search")


ROUTES = (
    Route("GET", "/api/v1/logs", "viewer", search, (*asking.RANGE, LIMIT, CURSOR, asking.ORDER)),
    Route("GET", "/api/v1/logs/<event_id>", "viewer", one),
    Route("GET", "/api/v1/logs/<event_id>/context", "viewer", context, (BEFORE, AFTER)),
)
