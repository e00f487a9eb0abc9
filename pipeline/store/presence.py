"""Who sent metrics when, by the gauges that are sent at least once a minute: tells that a service or host is silent."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import apsw
import orjson

from monitoring.pipeline.store.catalog import Catalog
from monitoring.pipeline.store.deltas import WINDOW_NS
from monitoring.pipeline.store.metric_segment import BLOCK
from monitoring.pipeline.store.rows import id_floor
from monitoring.pipeline.store.segment import open_readonly

__all__ = ["FAMILIES", "present"]

FAMILIES = ("process_count", "system_uptime_seconds")
"""Every process that measures itself, and every host that is measured, sends one of these."""


def present(
    catalog: Catalog, names: Sequence[str], start_ns: int, end_ns: int
) -> Mapping[tuple[str, ...], tuple[int, int]]:
    """Groups, by these labels, that said something in [start_ns, end_ns): when first, when last, to 10 s."""
    first, last = start_ns // WINDOW_NS, (end_ns - 1) // WINDOW_NS
    found: dict[tuple[str, ...], tuple[int, int]] = {}
    for row in catalog.segments("metrics", id_floor(max(0, start_ns)), id_floor(max(0, end_ns))):
        for labels, least, most in _read(row.path, first, last):
            known = orjson.loads(labels)
            key = tuple(str(known.get(name, "")) for name in names)
            before = found.get(key, (least, most))
            found[key] = (min(before[0], least), max(before[1], most))
    return {
        key: (max(start_ns, least * WINDOW_NS), min(end_ns, (most + 1) * WINDOW_NS))
        for key, (least, most) in found.items()
        if any(key)
    }


def _read(path: Path, first: int, last: int) -> list[tuple[str, int, int]]:
    try:
        with contextlib.closing(open_readonly(path)) as connection:
            return _said(connection, first, last)
    except (FileNotFoundError, apsw.CantOpenError):  # retention deletes it at this moment
        return []


def _said(connection: apsw.Connection, first: int, last: int) -> list[tuple[str, int, int]]:
    marks = ", ".join("?" * len(FAMILIES))
    return list(
        connection.execute(
            f"SELECT series.labels, min(block * {BLOCK} + slot), max(block * {BLOCK} + slot)"  # noqa: S608 - own names
            f" FROM family JOIN series ON series.family = family.id JOIN gauge ON gauge.series = series.id"
            f" WHERE family.name IN ({marks}) AND block BETWEEN ? AND ? AND block * {BLOCK} + slot BETWEEN ? AND ?"
            " GROUP BY series.id",
            (*FAMILIES, first // BLOCK, last // BLOCK, first, last),
        )
    )
