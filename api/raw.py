"""`POST /api/v1/ingest/raw`: plain lines, understood as `monitoring ingest` understands a file."""

from __future__ import annotations

from functools import partial

from monitoring.api.ingest import answer_of
from monitoring.api.problems import Problem
from monitoring.api.routes import Answer, Call
from monitoring.api.taking import Protocol, body_of, take
from monitoring.pipeline.errors import SettingsError
from monitoring.pipeline.events.formats.known import by_name
from monitoring.pipeline.events.lenient import MAX_NAME_CHARS
from monitoring.pipeline.ingest.raw import read_lines

__all__ = ["post_lines"]


def post_lines(call: Call) -> Answer:
    """Plain lines, in any format that files may have; answered once their events are fsynced."""
    service, name = call.params.get("service", ""), call.params.get("format", "")
    if len(service) > MAX_NAME_CHARS:
        raise Problem(400, f"longer than {MAX_NAME_CHARS} characters", field="service")
    try:
        form = by_name(name) if name else None
    except SettingsError as error:
        raise Problem(
            400, str(error), field="format", fix="leave it out, and the format is found by looking"
        ) from error
    protocol = Protocol(partial(read_lines, form=form), answer_of, 202, "application/json", f"raw\0{service}\0{name}")
    return take(call, body_of(call), protocol, service=service)
