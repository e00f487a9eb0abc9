"""Retention: whole files go, the oldest first, and what went stays accounted for."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.store import retention
from monitoring.pipeline.store.catalog import Catalog, SegmentRow
from monitoring.pipeline.store.partition import Limits, acquire
from monitoring.pipeline.store.rows import id_floor
from monitoring.pipeline.store.verify import verify
from tests.frames import T0, Sender, entry, event

DAY_NS = 86_400 * 10**9


def segment(number, last_ns, *, size=10, sealed_at=0):
    return SegmentRow(
        "logs",
        0,
        number,
        Path(f"{number}.db"),
        True,
        id_floor(last_ns),
        id_floor(last_ns),
        0,
        1,
        0,
        size,
        sealed_at,
        False,
    )


def numbers(going):
    return [row.segment.number for row in going]


def test_segments_go_by_age_of_their_last_event_or_their_sealing_whichever_is_later():
    rows = [segment(1, T0 - 9 * DAY_NS), segment(2, T0 - DAY_NS), segment(3, T0 - 400 * DAY_NS, sealed_at=T0)]
    assert numbers(retention.doomed(rows, now_ns=T0, max_age_seconds=7 * 86_400, max_bytes=0)) == [1]


def test_the_oldest_go_until_the_rest_fits_with_the_active_ones_counted():
    rows = [segment(number, T0 + number * DAY_NS) for number in (3, 1, 2)]
    going = retention.doomed(rows, now_ns=T0, max_age_seconds=0, max_bytes=25, active_bytes=10)
    assert numbers(going) == [1, 2]
    assert "MiB" in going[0].reason


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 50)), max_size=12), st.integers(0, 20), st.integers(0, 300)
)
def test_what_is_kept_is_young_enough_and_small_enough_and_nothing_goes_needlessly(made, days, max_bytes):
    rows = [segment(number, T0 - age * DAY_NS, size=size) for number, (age, size) in enumerate(made)]
    going = set(numbers(retention.doomed(rows, now_ns=T0, max_age_seconds=days * 86_400, max_bytes=max_bytes)))
    kept = [row for row in rows if row.number not in going]
    if days:
        assert all(age <= days for (age, _), row in zip(made, rows, strict=True) if row.number not in going)
    if max_bytes:
        assert sum(row.bytes for row in kept) <= max_bytes
    if not days and not max_bytes:
        assert not going


@pytest.fixture
def catalog(tmp_path):
    with contextlib.closing(Catalog.create_or_open(tmp_path / "catalog.db", partitions=1)) as found:
        partition = acquire(found, "logs", 0, Limits(10, 1 << 40, 1e9, 0), now_ns=lambda: T0)
        assert partition is not None
        sender = Sender()
        for number in range(3):
            partition.write(partition.admit([entry(sender.frame([event(number * 10 + n) for n in range(10)]))]))
            partition.roll_over_if_due()
        partition.release()
        yield found


def test_deletion_removes_files_and_keeps_the_books_balanced(catalog):
    going = retention.doomed(catalog.segments(), now_ns=T0 + 2 * DAY_NS, max_age_seconds=86_400, max_bytes=0)
    assert numbers(going) == [1, 2, 3], "the active segment never goes"
    assert retention.apply(catalog, going[:2]) > 0
    assert [row.number for row in catalog.segments()] == [3, 4]
    assert catalog.retired("logs", 0) == (20, 0)
    assert len(list((catalog.data / "logs" / "p0").iterdir())) == 2
    assert verify(catalog).findings == []


def test_a_deletion_that_was_cut_off_is_finished(catalog):
    catalog.retire(catalog.segments()[0])
    assert verify(catalog).findings == []
    assert [path.name for path in retention.sweep(catalog)] == ["000001.db"]
    assert retention.sweep(catalog) == []
    catalog.reconcile()
    assert [row.number for row in catalog.segments()] == [2, 3, 4]
