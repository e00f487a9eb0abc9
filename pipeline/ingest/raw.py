"""Plain lines that came in one piece, read as a file's: format by looking, traces joined to their event."""

from __future__ import annotations

from monitoring.pipeline.events.formats.format import Format
from monitoring.pipeline.events.formats.known import SAMPLE_LINES, sniff
from monitoring.pipeline.events.lenient import Defaults
from monitoring.pipeline.events.reader import Reader
from monitoring.pipeline.ingest.intake import Intake, TooMuch
from monitoring.pipeline.ingest.lines import LineCutter, TooLong

__all__ = ["read_lines"]


def read_lines(body: bytes, defaults: Defaults, source: str, most: int, *, form: Format | None = None) -> Intake:
    """The events of these lines, in the format `form` or, without one, in what they look like.

    Raises TooMuch beyond so many lines.
    """
    if body.count(b"\n") > most:
        raise TooMuch(f"more than {most} lines")
    cutter = LineCutter()
    runs = cutter.push(body)
    rest = cutter.last()
    if rest:
        runs.append(rest if isinstance(rest, TooLong) else [rest])
    if form is None:
        form = sniff([line for run in runs if not isinstance(run, TooLong) for line in run][:SAMPLE_LINES], defaults)
    reader = Reader(form, defaults, source, inherit=True)
    for run in runs:
        if isinstance(run, TooLong):
            reader.feed_too_long(run.prefix, run.length)
        else:
            reader.feed(run)
    reader.flush()
    return Intake(*reader.take())
