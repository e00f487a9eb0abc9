"""The metric store as PromQL sees it: implements `query.promql.source.Source`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import apsw
import numpy as np
import orjson

from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.promql.source import NAME, Floats, Mask, Samples
from monitoring.pipeline.store.deltas import WINDOW_NS
from monitoring.pipeline.store.matchers import Matcher
from monitoring.pipeline.store.metric_coarse import held
from monitoring.pipeline.store.metric_files import MetricFiles, opened_rollup
from monitoring.pipeline.store.metric_grid import Grid
from monitoring.pipeline.store.metric_levels import LEVELS
from monitoring.pipeline.store.metric_names import (
    LE,
    exposed,
    le_labels,
    le_test,
    metadata_name,
    name_test,
)
from monitoring.pipeline.store.metric_plan import plan
from monitoring.pipeline.store.metric_read import (
    Key,
    Read,
    choose,
    families_of,
    read,
    read_carried,
    read_deleted,
    read_rolled,
)
from monitoring.pipeline.store.metrics import SqliteMetricStore, in_time

__all__ = ["MetricSource"]

_MS = 1_000_000


class MetricSource:
    """A store's metrics for one query. Not for several threads.

    Raises OutOfTime where the deadline passes; without one there is no limit.
    """

    def __init__(self, store: SqliteMetricStore, *, deadline: Deadline | None = None) -> None:
        self._store, self._deadline = store, deadline

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, step_ms: int) -> list[Samples]:
        """See Source. From the finest points that answer the range in some ten thousand windows, see `metric_plan`."""
        files = MetricFiles(self._store.catalog)
        known = files.extent()
        if known is None:
            return []
        chosen = plan(files.stored, files.rolled, start_ms, end_ms, step_ms)
        grid = Grid(start_ms, end_ms, known, scale=chosen.scale, spread=chosen.spread)
        fine = Grid(max(start_ms, files.start_ms(chosen.segments)), end_ms, known) if chosen.scale > 1 else grid
        found = Read(grid, fine)
        with in_time():
            if chosen.base is not None:
                with opened_rollup(chosen.base.path, self._deadline) as connection:
                    read_carried(connection, choose(connection, matchers), found)
            if chosen.oldest is not None:
                with opened_rollup(chosen.oldest.path, self._deadline) as connection:
                    read_deleted(connection, choose(connection, matchers), found)
            for rolled in chosen.rolled:
                with opened_rollup(rolled.path, self._deadline) as connection:
                    read_rolled(connection, choose(connection, matchers), found)
            for number in chosen.segments:
                with self._store.segment(number, self._deadline) as connection:
                    read(connection, choose(connection, matchers), found)
        found.sum_up()
        return [*_sampled(found), *(() if grid.empty else (*self._counted(found, matchers), *self._gauges(found)))]

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[dict[str, str]]:
        """See Source."""
        keys: dict[Key, None] = {}
        self._each(
            start_ms,
            end_ms,
            lambda connection: keys.update((chosen.key, None) for chosen in choose(connection, matchers).values()),
        )
        found: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
        for key in keys:
            for labels in _label_sets(key, matchers):
                found[tuple(sorted(labels.items()))] = labels
        return list(found.values())

    def label_names(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[str]:
        """See Source."""
        if matchers:
            return sorted({name for labels in self.series(matchers, start_ms, end_ms) for name in labels})
        found: set[str] = set()

        def look(connection: apsw.Connection) -> None:
            found.update(name for (name,) in connection.execute("SELECT DISTINCT name FROM label"))
            for _, _, kind, _, _ in families_of(connection, lambda _: True):
                found.update((NAME, LE) if kind == "histogram" else (NAME,))

        self._each(start_ms, end_ms, look)
        return sorted(found)

    def label_values(self, name: str, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[str]:
        """See Source."""
        if matchers or name == LE:
            wanted = matchers or [Matcher(LE, "!=", "")]
            return sorted({labels[name] for labels in self.series(wanted, start_ms, end_ms) if name in labels})
        found: set[str] = set()

        def look(connection: apsw.Connection) -> None:
            if name == NAME:
                for _, title, kind, _, _ in families_of(connection, lambda _: True):
                    found.update(seen.name for seen in exposed(title, kind))
            else:
                rows = connection.execute("SELECT value FROM label WHERE name = ?", (name,))
                found.update(value for (value,) in rows)

        self._each(start_ms, end_ms, look)
        return sorted(found)

    def metadata(self) -> dict[str, tuple[str, str, str]]:
        """See Source. Of families that share a name, what was said last."""
        return {
            metadata_name(family.name, family.kind): (
                (family.type or "unknown") if family.kind == "sample" else family.kind,
                family.help,
                family.unit,
            )
            for family in self._store.families()
        }

    def _each(self, start_ms: int, end_ms: int, look: Callable[[apsw.Connection], None]) -> None:
        """Look at each segment that reaches into this range, or at what is left of it. Raises OutOfTime."""
        files = MetricFiles(self._store.catalog)
        first, last = start_ms * _MS // WINDOW_NS, end_ms * _MS // WINDOW_NS
        with in_time():
            for number, extent, there in files.stored:
                if extent is None or extent[0] > last or extent[1] < first:
                    continue
                rolled = next((by[number] for by in files.rolled.values() if number in by), None)
                if there:
                    with self._store.segment(number, self._deadline) as connection:
                        look(connection)
                elif rolled is not None:
                    with opened_rollup(rolled.path, self._deadline) as connection:
                        look(connection)

    def _counted(self, found: Read, matchers: Sequence[Matcher]) -> Iterator[Samples]:
        """Counters, and the parts of histograms. Families that are seen under the same labels add up."""
        fits, le_fits = name_test(matchers), le_test(matchers)
        seen: dict[tuple[str, str, str], tuple[Mask, Floats]] = {}
        for key, counting in found.counting.items():
            for name, le, row in _rows_of(key):
                if not fits(name) or (key.kind == "histogram" and not le_fits(le)):
                    continue
                has, totals = counting.has, counting.gained[row]
                if (before := seen.get((name, key.labels, le))) is not None:
                    has, totals = has | before[0], totals + before[1]
                seen[name, key.labels, le] = has, totals
        for (name, text, le), (has, totals) in seen.items():
            times, values = found.grid.samples(has, totals)
            if len(times):
                yield Samples(_labels(name, text, le), times, values)

    def _gauges(self, found: Read) -> Iterator[Samples]:
        if found.grid.scale == 1:
            said = ((key, found.grid.gauge(gauge.lanes, gauge.across)) for key, gauge in found.gauges.items())
        else:
            said = ((key, found.grid.rolled(summary)) for key, summary in found.summaries.items())
        for key, (times, values) in said:
            if len(times):
                yield Samples(_labels(key.name, key.labels, ""), times, values)


def _sampled(found: Read) -> Iterator[Samples]:
    for key, parts in found.samples.items():
        times = np.concatenate([part[0] for part in parts])
        times, places = np.unique(times, return_index=True)  # of equal ones the first
        values = np.concatenate([part[1] for part in parts])[places]
        if found.grid.scale == LEVELS[-1].scale:
            times, values = held(times, values)
        yield Samples(_labels(key.name, key.labels, ""), times, values)


def _rows_of(key: Key) -> Iterator[tuple[str, str, int]]:
    """The names under which a series is seen, with `le` where there is one, and which row of its increments it is."""
    for name, part in exposed(key.name, key.kind):
        if part == "bucket":
            for row, le in enumerate(le_labels(key.bounds)):
                yield name, le, row
        else:
            yield name, "", {"count": -2, "sum": -1}.get(part, 0)


def _labels(name: str, text: str, le: str) -> dict[str, str]:
    labels: dict[str, str] = {NAME: name, **orjson.loads(text)}
    if le:
        labels[LE] = le
    return labels


def _label_sets(key: Key, matchers: Sequence[Matcher]) -> Iterator[dict[str, str]]:
    fits, le_fits = name_test(matchers), le_test(matchers)
    for name, le, _ in _rows_of(key):
        if fits(name) and (key.kind != "histogram" or le_fits(le)):
            yield _labels(name, key.labels, le)
