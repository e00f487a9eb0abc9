"""Verification finds every kind of damage that it says it looks for."""

from __future__ import annotations

import contextlib
from pathlib import Path

import apsw
import pytest

from monitoring.pipeline.events.event import Rejected
from monitoring.pipeline.store.catalog import Catalog, segment_path
from monitoring.pipeline.store.partition import Limits, acquire
from monitoring.pipeline.store.verify import verify
from tests.frames import T0, Sender, entry, event


@pytest.fixture
def catalog(tmp_path):
    with contextlib.closing(Catalog.create_or_open(tmp_path / "catalog.db", partitions=1)) as found:
        partition = acquire(found, "logs", 0, Limits(10, 1 << 40, 1e9, 0), now_ns=lambda: T0)
        assert partition is not None
        sender = Sender()
        for number in range(2):
            events = [event(number * 10 + n) for n in range(10)]
            partition.write(partition.admit([entry(sender.frame(events, [Rejected("no", b"x")]))]))
            partition.roll_over_if_due()
        sender.drop(3)
        partition.write(partition.admit([entry(sender.frame([event(99)]))]))
        partition.release()
        yield found


def damage(catalog, number, sql):
    with contextlib.closing(apsw.Connection(str(segment_path(catalog.data, "logs", 0, number)))) as connection:
        connection.execute(sql)


def test_a_sound_store_gives_no_finding_and_the_sums(catalog):
    seen: list[Path] = []
    report = verify(catalog, progress=seen.append)
    (found,) = report.partitions
    assert report.findings == []
    assert (found.rows, found.committed, found.dead_letters, found.dead_lettered) == (21, 21, 2, 2)
    assert (found.emitted, found.dropped, found.residual, found.missing) == (26, {"buffer_full": 3}, 0, 0)
    assert len(seen) == found.segments == 3


@pytest.mark.parametrize(
    ("number", "sql", "finding"),
    [
        (1, "DELETE FROM log WHERE id = (SELECT min(id) FROM log)", "its head says"),
        (1, "INSERT INTO text(text) VALUES('delete-all')", "text index"),
        (1, "DELETE FROM minute", "roll-ups"),
        (1, "DELETE FROM dead_letter", "dead letters"),
        (1, "UPDATE head SET rows = rows - 1", "catalog says"),
        (3, "UPDATE mark SET accounted = accounted - 1", "producer counts"),
        (3, "UPDATE mark SET missing = 5", "backup"),
        (3, "UPDATE mark SET committed = committed + 1", "committed"),
    ],
)
def test_each_damage_is_found(catalog, number, sql, finding):
    damage(catalog, number, sql)
    assert any(finding in text for text in verify(catalog).findings), verify(catalog).findings


def test_a_damaged_page_a_lost_file_and_a_stray_file_are_found(catalog):
    path = segment_path(catalog.data, "logs", 0, 1)
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xff" * 4096 + whole[12288:])
    assert any(str(path) in text for text in verify(catalog).findings)
    path.unlink()
    assert any("not on disk" in text for text in verify(catalog).findings)
    path.write_bytes(b"nonsense" * 1000)
    assert any("not a SQLite file" in text for text in verify(catalog).findings)
