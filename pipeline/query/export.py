"""Taking events away: everything that matches, as lines of JSON or CSV, in the memory of one page."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import orjson

from monitoring.pipeline.errors import StoreCorrupt
from monitoring.pipeline.query.search import Page

__all__ = ["COLUMNS", "EXPORT_PAGE", "FORMATS", "MEDIA_TYPES", "Format", "export", "header", "lines"]

Format = Literal["ndjson", "csv"]
FORMATS: tuple[Format, ...] = ("ndjson", "csv")
MEDIA_TYPES: dict[Format, str] = {"ndjson": "application/x-ndjson", "csv": "text/csv"}

COLUMNS = (
    "timestamp", "level", "service", "environment", "release", "logger", "host", "message", "trace_id", "span_id",
    "request_id", "attributes", "exception", "id",
)  # fmt: skip
"""Of CSV. Attributes and exceptions are JSON."""
EXPORT_PAGE = 1000
"""Events that are held at a time: half a megabyte of ordinary ones."""


def export(ask: Callable[[str | None], Page], form: Format, first: Page) -> Iterator[bytes]:
    """The events of a page and of all that follow it, in pieces of a page; `ask` gives the page of a cursor.

    A page that ran out of time goes on where it stopped: an export ends with its last event. Raises StoreCorrupt at
    its end where a segment could not be read, for half of the evidence must not look like all of it.
    """
    if header(form):
        yield header(form)
    page, damaged = first, None
    while True:
        if page.events:
            yield lines(page.events, form)
        if page.partial_reason not in (None, "time", "size"):
            damaged = page.partial_reason
        if page.next_cursor is None:
            break
        page = ask(page.next_cursor)
    if damaged is not None:
        raise StoreCorrupt(f"the export is not whole: {damaged}")


def header(form: Format) -> bytes:
    """What comes before the first event."""
    return _csv([COLUMNS]) if form == "csv" else b""


def lines(events: Sequence[dict[str, Any]], form: Format) -> bytes:
    """Events as lines."""
    if form == "csv":
        return _csv([[_cell(event[name]) for name in COLUMNS] for event in events])
    return b"".join(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE) for event in events)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "replace")
