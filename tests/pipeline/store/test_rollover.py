"""A roll-over that was cut off is finished by whoever takes over, and by nobody twice."""

from __future__ import annotations

import contextlib

import pytest

from monitoring.pipeline.errors import Fenced
from monitoring.pipeline.store import retention, rollover
from monitoring.pipeline.store.catalog import Catalog
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.partition import Limits, acquire
from monitoring.pipeline.store.retention import Doomed
from monitoring.pipeline.store.verify import verify
from tests.frames import T0, Sender, entry, event

LIMITS = Limits(segment_events=1000, segment_bytes=1 << 30, segment_age_seconds=1e9, disk_reserve_bytes=0)
GONE = Holder(boot="another boot", namespace="", pid=1, started=1)


@pytest.fixture
def catalog(tmp_path):
    with contextlib.closing(Catalog.create_or_open(tmp_path / "catalog.db", partitions=1)) as found:
        yield found


def take(catalog):
    partition = acquire(catalog, "logs", 0, LIMITS, me=GONE, now_ns=lambda: T0)
    assert partition is not None
    return partition


def write(partition, *frames):
    partition.write(partition.admit([entry(frame) for frame in frames]))


class _Died(BaseException):
    pass


class _Mortal(Catalog):
    """A catalog whose user dies before it notes that a segment is sealed."""

    def note_sealed(self, head, size_bytes):
        raise _Died


def test_who_takes_over_after_the_link_notes_the_sealed_segment(catalog):
    mortal = _Mortal(catalog.data / "catalog.db")
    partition = take(mortal)
    write(partition, Sender().frame([event(1)]))
    with pytest.raises(_Died):
        partition.roll_over()
    partition.abandon()
    mortal.close()
    assert [row.sealed for row in catalog.segments("logs")] == [False]
    take(catalog).release()
    assert [(row.number, row.sealed, row.rows) for row in catalog.segments("logs")] == [(1, True, 1), (2, False, 0)]
    assert verify(catalog).findings == []


def test_a_segment_that_retention_took_is_not_noted_again(catalog):
    partition = take(catalog)
    write(partition, Sender().frame([event(1)]))
    partition.roll_over()
    partition.abandon()
    catalog.retire(catalog.segments("logs")[0])  # and the process died before it deleted the file
    take(catalog).release()
    assert [row.number for row in catalog.segments("logs")] == [2]


def test_one_that_stood_still_while_others_rolled_over_and_retention_deleted_writes_to_no_ghost(catalog):
    sender = Sender()
    stopped = take(catalog)
    write(stopped, sender.frame([event(1)]))
    rollover.seal(stopped.segment, now_ns=T0)
    other = take(catalog)
    write(other, sender.frame([event(2)]))
    other.roll_over()
    retention.apply(catalog, [Doomed(row, "old") for row in catalog.segments("logs") if row.sealed])
    with pytest.raises(Fenced):
        rollover.follow(stopped.segment, catalog, now_ns=T0)
    stopped.abandon()
    assert [row.number for row in catalog.segments("logs")] == [3]
    write(other, sender.frame([event(3)]))
    other.release()
    take(catalog).release()
