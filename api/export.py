"""`GET /api/v1/logs/export`: everything that matches, streamed."""

from __future__ import annotations

import contextlib

from flask import Response

from monitoring.api import asking
from monitoring.api.params import OneOf
from monitoring.api.routes import Answer, Call, Route
from monitoring.pipeline.query.export import EXPORT_PAGE, FORMATS, MEDIA_TYPES, Format, export
from monitoring.pipeline.query.search import Page

__all__ = ["ROUTES", "logs"]


FORMAT = OneOf("format", "of each event", choices=FORMATS, default="ndjson")


def logs(call: Call) -> Answer:
    """Everything that matches, as lines of JSON or CSV: streamed, without a limit on their number."""
    runtime, query = call.runtime, call.params.get("query", "")
    form = _format(call)
    order = asking.order(call, "oldest")
    start, end = asking.span(call)

    def page(cursor: str | None) -> Page:
        with runtime.gate.entered():
            return runtime.store.search(
                query, start, end, order=order, limit=EXPORT_PAGE, cursor=cursor, deadline=asking.deadline(runtime)
            )

    first = page(None)  # what is wrong with the query is told before anything is sent
    with contextlib.ExitStack() as place:
        place.enter_context(runtime.streams_gate.entered())
        response = Response(export(page, form, first), mimetype=MEDIA_TYPES[form])
        response.call_on_close(place.pop_all().close)
    response.headers["Content-Disposition"] = f'attachment; filename="logs.{form}"'
    return response


def _format(call: Call) -> Format:
    return next(form for form in FORMATS if form == FORMAT.of(call.params))


ROUTES = (Route("GET", "/api/v1/logs/export", "viewer", logs, (*asking.RANGE, FORMAT, asking.ORDER)),)
