"""`POST /api/v1/ingest/raw`: plain lines, understood as `monitoring ingest` understands a file."""

from __future__ import annotations

from functools import partial

from monitoring.api.ingest import answer_of
from monitoring.api.params import Text
from monitoring.api.problems import Problem
from monitoring.api.routes import DATA, Answer, Call, Route
from monitoring.api.taking import Protocol, body_of, take
from monitoring.pipeline.errors import SettingsError
from monitoring.pipeline.events.formats.known import by_name
from monitoring.pipeline.events.lenient import MAX_NAME_CHARS
from monitoring.pipeline.ingest.raw import read_lines

__all__ = ["ROUTES", "post_lines"]

SERVICE = Text("service", "that the lines are of; absent: the key's name", longest=MAX_NAME_CHARS)
FORMAT = Text("format", "of the lines; absent: found by looking", longest=64)


def post_lines(call: Call) -> Answer:
    """Plain lines, in any format that files may have; answered once their events are fsynced."""
    service, name = call.params.get("service", ""), call.params.get("format", "")
    try:
        form = by_name(name) if name else None
    except SettingsError as error:
        raise Problem(
            400, str(error), field="format", fix="leave it out, and the format is found by looking"
        ) from error
    protocol = Protocol(partial(read_lines, form=form), answer_of, 202, "application/json", f"raw\0{service}\0{name}")
    return take(call, body_of(call), protocol, service=service)


ROUTES = (
    Route("POST", "/api/v1/ingest/raw", "ingest", post_lines, (SERVICE, FORMAT), audit=DATA, body=("text/plain",)),
)
