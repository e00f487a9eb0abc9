"""`GET /api/v1/logs/histogram` and the others that count rather than list."""

from __future__ import annotations

from typing import Any

from monitoring.api import asking
from monitoring.api.params import Text, Whole
from monitoring.api.problems import Problem
from monitoring.api.routes import Answer, Call, Route
from monitoring.pipeline.query.aggregate import AggregateInvalid, aggregates
from monitoring.pipeline.query.facets import DEFAULT_FIELDS, DEFAULT_VALUES, MAX_FIELDS, MAX_VALUES
from monitoring.pipeline.query.histogram import DEFAULT_BUCKETS, MAX_BUCKETS
from monitoring.pipeline.query.patterns import DEFAULT_PATTERNS, MAX_PATTERNS
from monitoring.pipeline.query.statistics import DEFAULT_ROWS, MAX_GROUP_BY, MAX_ROWS

__all__ = ["ROUTES", "facets", "histogram", "patterns", "stats"]


BUCKETS = Whole("buckets", "about how many", default=DEFAULT_BUCKETS, most=MAX_BUCKETS)
FIELDS = Text("fields", "names of fields, divided by commas")
VALUES = Whole("limit", "values of each field", default=DEFAULT_VALUES, most=MAX_VALUES)
GROUP_BY = Text("group_by", "names of fields, or time, divided by commas")
AGGREGATE = Text("aggregate", "like count,rate,p95(duration_ms)")
ROWS = Whole("limit", "groups", default=DEFAULT_ROWS, most=MAX_ROWS)
PATTERNS = Whole("limit", "templates", default=DEFAULT_PATTERNS, most=MAX_PATTERNS)


def histogram(call: Call) -> Answer:
    """How many events match, by time and level: a bar chart's numbers."""
    buckets = BUCKETS.of(call.params)
    start, end = asking.span(call)

    def counted() -> tuple[dict[str, Any], str | None]:
        found = call.runtime.store.histogram(
            call.params.get("query", ""), start, end, buckets=buckets, deadline=asking.deadline(call.runtime)
        )
        return found.document(), found.partial_reason

    return asking.answered(call, counted)


def facets(call: Call) -> Answer:
    """The commonest values of fields among the events that match."""
    fields = asking.names(call, "fields", DEFAULT_FIELDS, MAX_FIELDS)
    limit = VALUES.of(call.params)
    start, end = asking.span(call)

    def counted() -> tuple[dict[str, Any], str | None]:
        found = call.runtime.store.facets(
            call.params.get("query", ""), start, end, fields=fields, limit=limit, deadline=asking.deadline(call.runtime)
        )
        return found.document(), found.partial_reason

    return asking.answered(call, counted)


def stats(call: Call) -> Answer:
    """Counts, rates and numbers (sums, means, quantiles) of the events that match, by fields and time."""
    params = call.params
    group_by = asking.names(call, "group_by", (), MAX_GROUP_BY)
    buckets = BUCKETS.of(params)
    limit = ROWS.of(params)
    start, end = asking.span(call)
    try:
        wanted = aggregates(params.get("aggregate", "count"))
    except AggregateInvalid as error:
        raise Problem(400, str(error), field="aggregate", fix="like count,rate,p95(duration_ms)") from error

    def counted() -> tuple[dict[str, Any], str | None]:
        found = call.runtime.store.statistics(
            params.get("query", ""), start, end, group_by=group_by, wanted=wanted, buckets=buckets, limit=limit,
            deadline=asking.deadline(call.runtime),
        )  # fmt: skip
        return found.document(), found.partial_reason

    return asking.answered(call, counted)


def patterns(call: Call) -> Answer:
    """Similar messages folded to templates, with how often, since when and until when, and an example."""
    limit = PATTERNS.of(call.params)
    start, end = asking.span(call)

    def folded() -> tuple[dict[str, Any], str | None]:
        found = call.runtime.store.patterns(
            call.params.get("query", ""), start, end, limit=limit, deadline=asking.deadline(call.runtime)
        )
        return found.document(), found.partial_reason

    return asking.answered(call, folded)


ROUTES = (
    Route("GET", "/api/v1/logs/histogram", "viewer", histogram, (*asking.RANGE, BUCKETS)),
    Route("GET", "/api/v1/logs/facets", "viewer", facets, (*asking.RANGE, FIELDS, VALUES)),
    Route(
        "GET",
        "/api/v1/logs/stats",
        "viewer",
        stats,
        (*asking.RANGE, GROUP_BY, AGGREGATE, BUCKETS, ROWS),
    ),
    Route("GET", "/api/v1/logs/patterns", "viewer", patterns, (*asking.RANGE, PATTERNS)),
)
