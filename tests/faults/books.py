"""Whether segments of any signal, and the catalog of them, agree with one another."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.faults import evidence
from tests.faults.report import Report

__all__ = ["check_catalog", "check_chain", "name_of"]


def name_of(segment: evidence.Segment) -> str:
    """What findings call it."""
    return f"{segment.path.parent.name}/{segment.path.name}"


def check_chain(segment: evidence.Segment, partition: int, *, last: bool, report: Report) -> None:
    """Whether a segment is the one its name says, sealed unless it is the last, and names the one behind it."""
    head = segment.head
    if (head["partition"], head["number"]) != (partition, int(segment.path.stem)):
        report.find("segments", f"{name_of(segment)} says it is {head['number']} of partition {head['partition']}")
    sealed = head["sealed"] is not None
    if sealed == last or (sealed and head["next"] != head["number"] + 1):
        report.find(
            "segments", f"{name_of(segment)}: sealed {head['sealed']}, next {head['next']}, the last one: {last}"
        )


def check_catalog(data: Path, signal: str, report: Report) -> None:
    """Whether the catalog says of each sealed segment of a signal what the segment says itself."""
    query = (
        "SELECT partition, number, sealed_at, min_id, max_id, max_spill, rows, letters FROM segment"
        " WHERE signal = ? ORDER BY 1, 2"
    )
    columns = ("sealed", "min_id", "max_id", "max_spill", "rows", "letters")
    with evidence.connect(data / "catalog.db") as connection:
        known = {(row[0], row[1]): row[2:] for row in connection.execute(query, (signal,))}
    for number, paths in evidence.partitions(data, signal).items():
        for path in paths:
            row = known.pop((number, int(path.stem)), None)
            try:
                with evidence.connect(path) as connection:
                    head = evidence.Segment(path, connection).head
            except (sqlite3.Error, TypeError):
                continue  # found above
            if row is None:
                report.find("catalog", f"{signal}/p{number}/{path.name} is not in the catalog")
            elif row[0] != head["sealed"] or (row[0] is not None and row != tuple(head[column] for column in columns)):
                report.find("catalog", f"{signal}/p{number}/{path.name}: the catalog disagrees with the file")
    for partition, number in known:
        report.find("catalog", f"segment {number} of {signal}, partition {partition} is in the catalog and has no file")
