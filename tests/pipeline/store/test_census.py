"""The census of a sealed segment: counting adds up what it knows, and asks the index for what lies between."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from monitoring.pipeline.query.facets import Facets, facets
from monitoring.pipeline.query.histogram import histogram
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.store import census, rewrite
from monitoring.pipeline.store.catalog import SegmentRow
from monitoring.pipeline.store.log_segment import LogContents
from monitoring.pipeline.store.rows import ID_SHIFT
from monitoring.pipeline.store.segment import open_readonly
from tests.frames import T0, event
from tests.logstore import LogStore

ROWS = 6000
SLICE = 1000
APART_NS = 50_000_000


def _event(number: int) -> Any:
    return event(
        0, timestamp=T0 + number * APART_NS, level=17 if number % 10 == 0 else 9, service=f"s{number % 3}",
        host=f"h{number % 2}", message="a job has failed" if number % 2 else "a job is done",
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LogStore]:
    with LogStore(tmp_path) as made:
        made.add([_event(number) for number in range(ROWS)])
        made.roll_over()
        yield made


def sealed(store: LogStore) -> SegmentRow:
    return next(row for row in store.catalog.segments("logs") if row.sealed)


def asked(store: LogStore, query: str, start: int = EARLIEST, end: int = LATEST) -> Facets:
    return facets(
        store.catalog, store.reader, query, start, end, fields=("level", "service", "host"), deadline=Deadline(60)
    )


@contextlib.contextmanager
def statements(store: LogStore) -> Iterator[list[tuple[str, Any]]]:
    """What SQLite is asked about the sealed segment meanwhile."""
    seen: list[tuple[str, Any]] = []
    with store.reader.view(sealed(store).path, Deadline(60)) as view:
        connection = view.connection

    def note(_: apsw.Cursor, sql: str, values: Any) -> bool:
        seen.append((sql, values))
        return True

    connection.exec_trace = note
    yield seen
    connection.exec_trace = None


def rows_asked(seen: list[tuple[str, Any]]) -> int:
    """Of how many rows the index, or the table, was asked at most, by the ids that bound what it was asked for."""
    widths = [0]
    for sql, values in seen:
        if "MATCH" in sql or "FROM log" in sql:
            ids = [value for value in values or () if isinstance(value, int) and value > 1 << 40]
            widths.append(((max(ids) - min(ids)) >> ID_SHIFT) * 1000 // APART_NS if ids else ROWS)
    return max(widths)


@pytest.mark.parametrize(
    "query", ["failed", "FAILED level:error", "failed service:(s0 OR s1) -host:h1", "service:s1", "-failed", "*"]
)
def test_counting_a_common_word_asks_the_index_only_for_what_lies_beside_whole_slices(
    store: LogStore, query: str
) -> None:
    start, end = T0 + 100 * APART_NS, T0 + 5100 * APART_NS
    without = asked(store, query, start, end)
    store.reader.remembered.clear()
    store.take_census(SLICE)
    with statements(store) as seen:
        assert asked(store, query, start, end) == without
        assert seen
        assert rows_asked(seen) <= SLICE
    with statements(store) as seen:
        counted = histogram(store.catalog, store.reader, query, start, end, deadline=Deadline(60), buckets=5)
        assert len(counted.counts) == 5
        assert sum(counts.total() for counts in counted.counts) == without.facets[0].events
        assert rows_asked(seen) <= SLICE


def test_counting_a_word_that_is_rare_reads_the_rows_that_have_it(store: LogStore) -> None:
    store.take_census(SLICE)
    with statements(store) as seen:
        assert asked(store, "absent").facets[0].events == 0
        assert not any("census WHERE word" in sql and "slice >=" in sql for sql, _ in seen)


def test_a_census_is_there_as_a_whole_or_not_at_all(store: LogStore, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sealed(store).path
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        looks = iter([False, False, True])
        assert not census.build(connection, lambda: next(looks), slice_rows=SLICE, fewest_rows=0)
        assert census.Census.read(connection) is None
        with monkeypatch.context() as patch:
            patch.setattr(census, "MAX_KINDS", 5)
            assert census.build(connection, lambda: False, slice_rows=SLICE, fewest_rows=0)
        assert census.Census.read(connection) is None
        assert census.build(connection, lambda: False, slice_rows=SLICE, fewest_rows=ROWS + 1)
        assert census.Census.read(connection) is None
        assert census.build(connection, lambda: False, slice_rows=SLICE, fewest_rows=0)
        found = census.Census.read(connection)
        assert found is not None
        assert found.count(connection, "failed", found.slices(-(1 << 62), 1 << 62)).total() == ROWS // 2
        slices = [found.count(connection, census.EVERY, range(each, each + 1)).total() for each in range(11)]
        assert sum(slices) == ROWS
        assert max(slices) == SLICE


def test_compaction_takes_it_and_a_purge_takes_it_anew(store: LogStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "FEWEST_ROWS", 0)
    row = sealed(store)
    with contextlib.closing(apsw.Connection(str(row.path))) as connection:
        assert LogContents.compact(connection, lambda: False)
    assert asked(store, "failed").facets[0].events == ROWS // 2
    with contextlib.closing(open_readonly(row.path)) as connection:
        doomed = [found for (found,) in connection.execute("SELECT id FROM log WHERE id % 3 = 0 ORDER BY id")]
    with rewrite.turn(store.directory):
        rewrite.rewrite(store.catalog, row, doomed, now_ns=T0, reserve_bytes=0, stopped=lambda: False)
    left = asked(store, "*").facets[0].events
    assert left == ROWS - len(doomed)
    with contextlib.closing(open_readonly(row.path)) as connection:
        found = census.Census.read(connection)
        assert found is not None
        assert found.count(connection, census.EVERY, found.slices(-(1 << 62), 1 << 62)).total() == left
