"""A log event, and one that could not be understood."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["COLUMNS", "MAX_EVENT_BYTES", "Event", "Rejected"]

MAX_EVENT_BYTES = 1 << 20
"""An event larger than this is rejected whole: it would make one frame, one row and one answer unwieldy.
256 KiB (CloudWatch, Loki) cuts real prompts and stack dumps; 1 MiB held all that we have met."""


class Event(NamedTuple):
    """One log event. Text that is missing is "", so that columns are of one type each.

    `timestamp` is nanoseconds since 1970 in UTC, `level` an OpenTelemetry severity number 1-24.
    `exception` is the JSON text of a string or an object, `attributes` that of an object.
    """

    timestamp: int
    level: int
    service: str
    environment: str = ""
    release: str = ""
    logger: str = ""
    host: str = ""
    message: str = ""
    trace_id: str = ""
    span_id: str = ""
    request_id: str = ""
    exception: str = ""
    attributes: str = ""


COLUMNS = Event._fields
"""Order of the columns in a frame's payload."""


class Rejected(NamedTuple):
    """Input that is not an event: it travels with its frame and ends in the dead-letter table.

    `raw` is what was received, bounded by the reader; `source` and `line` say where it stood.
    """

    reason: str
    raw: bytes
    source: str = ""
    line: int = 0
