"""Who sent metrics when, by the gauges that are sent at least once a minute: tells that a service or host is silent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import apsw
import numpy as np
import orjson

from monitoring.pipeline.query.promql.source import NAME
from monitoring.pipeline.store.catalog import Catalog
from monitoring.pipeline.store.deltas import WINDOW_NS
from monitoring.pipeline.store.matchers import Matcher
from monitoring.pipeline.store.metric_grid import Grid
from monitoring.pipeline.store.metric_read import Read, choose, read
from monitoring.pipeline.store.rows import id_floor
from monitoring.pipeline.store.segment import open_readonly

__all__ = ["FAMILIES", "moments", "present"]

FAMILIES = ("process_count", "system_uptime_seconds")
"""Every process that measures itself, and every host that is measured, sends one of these."""
_MS = 1_000_000


Key = tuple[str, ...]


def present(catalog: Catalog, names: Sequence[str], start_ns: int, end_ns: int) -> Mapping[Key, tuple[int, int]]:
    """Groups, by these labels, that said something in [start_ns, end_ns): when first, when last, to 10 s."""
    groups: dict[Key, tuple[int, int]] = {}
    for key, windows in _said(catalog, names, start_ns, end_ns):
        least, most = groups.get(key, (int(windows[0]), int(windows[-1])))
        groups[key] = (min(least, int(windows[0])), max(most, int(windows[-1])))
    return {
        key: (max(start_ns, least * WINDOW_NS), min(end_ns, (most + 1) * WINDOW_NS))
        for key, (least, most) in groups.items()
    }


def moments(
    catalog: Catalog, names: Sequence[str], start_ns: int, end_ns: int, step_ns: int
) -> Mapping[Key, set[int]]:  # fmt: skip
    """The same groups: in which steps from `start_ns` on each said something."""
    groups: dict[Key, set[int]] = {}
    for key, windows in _said(catalog, names, start_ns, end_ns):
        steps = np.unique((windows * WINDOW_NS - start_ns) // step_ns)
        groups.setdefault(key, set()).update(steps[steps >= 0].tolist())
    return groups


def _said(
    catalog: Catalog, names: Sequence[str], start_ns: int, end_ns: int
) -> Iterator[tuple[Key, np.typing.NDArray[np.int64]]]:
    """Of each gauge and lane: its group, and the windows, rising, in which it said something."""
    first, last = start_ns // WINDOW_NS, (end_ns - 1) // WINDOW_NS
    grid = Grid(start_ns // _MS, end_ns // _MS, (first, last))
    if grid.empty:
        return
    found = Read(grid)
    for row in catalog.segments("metrics", id_floor(max(0, start_ns)), id_floor(max(0, end_ns))):
        _read(row.path, found)
    for series, gauge in found.gauges.items():
        labels = orjson.loads(series.labels)
        key = tuple(str(labels.get(name, "")) for name in names)
        for lane in gauge.lanes.values():
            windows = lane.newest()[0]
            said = windows[(windows >= first) & (windows <= last)]
            if len(said) and any(key):
                yield key, said


def _read(path: Path, into: Read) -> None:
    # One that retention deletes at this moment is not there any more.
    with contextlib.suppress(FileNotFoundError, apsw.CantOpenError), contextlib.closing(open_readonly(path)) as opened:
        read(opened, choose(opened, [Matcher(NAME, "=~", "|".join(FAMILIES))]), into)
