"""Counts as lines for people: bars over time, tables."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import click

from monitoring.cli.lines import COLOURS, safe

__all__ = ["bars", "facet_tables", "pattern_lines", "stat_table", "table"]

_FULL, _EIGHTHS = "█", " ▏▎▍▌▋▊▉"
_NARROWEST = 10


def bars(document: dict[str, Any]) -> Iterator[str]:
    """A histogram, a bucket a line: its beginning, its total, a bar in which every level has its colour."""
    buckets = document["buckets"]
    most = max((bucket["total"] for bucket in buckets), default=0)
    digits = len(f"{most:,}")
    times = _times([bucket["start"] for bucket in buckets], document["interval_seconds"])
    room = max(_NARROWEST, shutil.get_terminal_size().columns - len(times[0] if times else "") - digits - 5)
    for time, bucket in zip(times, buckets, strict=True):
        bar = _bar(bucket["levels"], bucket["total"], most, room)
        yield f"{click.style(time, dim=True)}  {bucket['total']:>{digits},}  {bar}".rstrip()


def _times(starts: Sequence[str], interval_seconds: float) -> list[str]:
    """As much of each time as tells buckets apart."""
    length = 10 if interval_seconds >= 86_400 else 16 if interval_seconds >= 60 else 19 if interval_seconds >= 1 else 23
    padded = [start.removesuffix("Z") + ("" if "." in start else ".000") for start in starts]
    return [text[:length].replace("T", " ") + ("" if length == 10 else "Z") for text in padded]


def _bar(levels: dict[str, int], total: int, most: int, room: int) -> str:
    """Whole blocks by level, the worst first; what is less than one is drawn in the colour of the last."""
    if not total:
        return ""
    eighths = max(1, round(total * room * 8 / most))
    pieces, drawn, counted = [], 0, 0
    for level in reversed(list(levels)):
        counted += levels[level]
        until = eighths // 8 if counted == total else counted * (eighths // 8) // total
        pieces.append(click.style(_FULL * (until - drawn), fg=COLOURS.get(level)))
        drawn = until
    last = click.style(_EIGHTHS[eighths % 8].strip(), fg=COLOURS.get(next(iter(levels))))
    return "".join(pieces) + last


def facet_tables(document: dict[str, Any]) -> Iterator[str]:
    """Facets, a table each."""
    for number, facet in enumerate(document["facets"]):
        if number:
            yield ""
        events = facet["events"]
        rows = [[value["value"], value["count"], f"{value['count'] / events:.1%}"] for value in facet["values"]]
        yield from table([facet["field"], "events", "share"], rows)
        yield click.style(_remarks(facet, len(rows)), dim=True)


def _remarks(facet: dict[str, Any], shown: int) -> str:
    found = f"the newest {facet['events']:,} matches" if facet["sampled"] else f"{facet['events']:,} events"
    more = [f"{facet['distinct'] - shown:,} more values"] if facet["distinct"] > shown else []
    without = [f"{facet['missing']:,} without it"] if facet["missing"] else []
    return "; ".join([found, *more, *without])


def stat_table(document: dict[str, Any]) -> Iterator[str]:
    """Statistics, a group a line."""
    rows = document["rows"]
    if rows:
        header = [*rows[0]["group"], *rows[0]["values"]]
        yield from table(header, [[*row["group"].values(), *row["values"].values()] for row in rows])
    if document["groups"] > len(rows):
        yield click.style(f"{document['groups'] - len(rows):,} more groups", dim=True)
    if document["approximate"]:
        yield click.style("quantiles are within 1%", dim=True)


def pattern_lines(document: dict[str, Any]) -> Iterator[str]:
    """Patterns, one a line: how often, from when to when, its worst level, the template."""
    found = document["patterns"]
    digits = max((len(f"{each['count']:,}") for each in found), default=0)
    for each in found:
        level = list(each["levels"])[-1]
        seen = click.style(f"{each['first_seen'][:19]}Z - {each['last_seen'][:19]}Z", dim=True)
        name = click.style(level.ljust(7), fg=COLOURS.get(level))
        yield f"{each['count']:>{digits},}  {seen}  {name} {safe(each['template'])}"
    more = [f"{document['distinct'] - len(found):,} more patterns"] if document["distinct"] > len(found) else []
    looked = f"{'the newest ' if document['sampled'] else ''}{document['events']:,} events"
    yield click.style("; ".join([looked, *more]), dim=True)


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """Columns as wide as they must be, numbers to the right."""
    shown = [[_cell(value) for value in row] for row in rows]
    numeric = [
        all(isinstance(row[column], int | float) or row[column] is None for row in rows)
        for column in range(len(header))
    ]
    widths = [max(len(line[column]) for line in (list(header), *shown)) for column in range(len(header))]
    yield click.style(_line(header, widths, numeric), dim=True)
    for line in shown:
        yield _line(line, widths, numeric)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:,.4g}" if isinstance(value, float) else safe(str(value))


def _line(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    padded = (
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(cells, widths, numeric, strict=True)
    )
    return "  ".join(padded).rstrip()
