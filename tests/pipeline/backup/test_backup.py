"""Backups of a running store, and their way back."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

import apsw
import orjson
import pytest

from monitoring.consumers import stop
from monitoring.consumers.adoption import Adoption
from monitoring.consumers.drain import Drain
from monitoring.pipeline.backup.manifest import MANIFEST_FILE, Manifest
from monitoring.pipeline.backup.restore import restore
from monitoring.pipeline.backup.save import save
from monitoring.pipeline.backup.spool import spool_moment
from monitoring.pipeline.errors import PermanentError, StoreCorrupt
from monitoring.pipeline.publish.spool import Spool
from monitoring.pipeline.store import retention
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.metrics import SqliteMetricStore
from monitoring.pipeline.store.partition import Limits, acquire
from monitoring.pipeline.store.retention import Doomed
from monitoring.pipeline.store.verify import Report, verify
from monitoring.pipeline.store.versions import known_schemas
from tests.frames import T0, Sender, entry, event
from tests.instance import Instance
from tests.logstore import LogStore
from tests.pipeline.store.test_metric_rollup import START, Story, maintained

_LIMITS = Limits(segment_events=1 << 30, segment_bytes=1 << 40, segment_age_seconds=1e12, disk_reserve_bytes=0)


def back_up(data: Path, target: Path) -> Manifest:
    return save(data, data / "spool", target, release="1.2.3")


def verified(data: Path) -> Report:
    with contextlib.closing(Catalog(data / CATALOG_FILE)) as catalog:
        return verify(catalog)


def stored(data: Path) -> list[str]:
    """The messages of all events, whatever is in the catalog."""
    found = []
    for path in sorted(data.glob("logs/p*/[0-9]*.db")):
        with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            found += [message for (message,) in connection.execute("SELECT message FROM log")]
    return sorted(found)


def test_a_backup_made_during_writes_is_consistent_and_holds_all_that_was_committed_before(
    tmp_path: Path, valkey: str
) -> None:
    made = Instance(tmp_path / "data", valkey, MONITORING_SEGMENT_EVENTS="100")  # so that segments follow each other
    ended, sent = threading.Event(), [0]

    def write() -> None:
        while not ended.is_set():
            made.post(b"".join(b'{"message":"m%06d"}\n' % (sent[0] + number) for number in range(20)))
            sent[0] += 20

    writer = threading.Thread(target=write)
    with made.draining():
        writer.start()
        try:
            for number in range(4):
                before = len(made.messages(1 + number * 60))
                manifest = back_up(made.data, tmp_path / f"b{number}")
                restore(tmp_path / f"b{number}", tmp_path / f"r{number}")
                report = verified(tmp_path / f"r{number}")
                messages = stored(tmp_path / f"r{number}")
                assert report.findings == []
                assert len(messages) == len(set(messages)) == manifest.rows["logs"] >= before
        finally:
            ended.set()
            writer.join()
    made.close()
    assert len(list((tmp_path / "r3").glob("logs/p*/[0-9]*.db"))) > 2, "none was sealed: the test proves little"
    assert not list(made.data.glob("spool/.backup-*"))


def test_what_was_acknowledged_before_the_backup_is_stored_once_after_a_restore_with_an_empty_bus(
    tmp_path: Path, valkey: str
) -> None:
    made = Instance(tmp_path / "data", valkey)
    acknowledged = []
    with made.draining():
        for number in range(20):
            assert made.post(b'{"message":"m%03d"}' % number).status_code == 202
            acknowledged.append(f"m{number:03d}")
    for number in range(20, 30):  # nobody drains: these are in the spool and on the bus only
        assert made.post(b'{"message":"m%03d"}' % number).status_code == 202
        acknowledged.append(f"m{number:03d}")
    back_up(made.data, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "restored")
    made.streams.client.flushall()
    again = Instance(tmp_path / "restored", valkey)
    drain = Drain(again.settings)
    adoption = Adoption(again.settings, valkey, failed=stop.request)
    adoption.start()
    try:
        ends = time.monotonic() + 60
        while len(stored(again.data)) < 30 or list(again.data.glob("spool/*/*.frames")):
            drain.step()
            assert time.monotonic() < ends, stored(again.data)
    finally:
        stop.request()
        adoption.join()
        stop.reset()
        drain.close()
    made.close()
    assert stored(again.data) == acknowledged
    assert verified(again.data).findings == []
    again.close()


def test_producers_that_replay_after_a_restore_bring_what_is_missing_and_nothing_twice(tmp_path: Path) -> None:
    sender = Sender()
    frames = [sender.frame([event(number)]) for number in range(6)]
    with LogStore(tmp_path / "data") as store:
        writer = store.partitions[0]
        writer.write(writer.admit([entry(frame) for frame in frames[:3]]))
        back_up(tmp_path / "data", tmp_path / "backup")
        writer.write(writer.admit([entry(frame) for frame in frames[3:]]))
    restore(tmp_path / "backup", tmp_path / "restored")
    with contextlib.closing(Catalog(tmp_path / "restored" / CATALOG_FILE)) as catalog:
        partition = acquire(catalog, "logs", 0, _LIMITS, now_ns=lambda: T0)
        assert partition is not None, "the copy's segment is held by the original's drain"
        partition.write(partition.admit([entry(frame) for frame in frames]))
        partition.release()
        assert stored(tmp_path / "restored") == [f"event number {number}" for number in range(6)]
        assert verify(catalog).findings == []


def test_what_producers_released_after_the_backup_is_told_as_missing(tmp_path: Path) -> None:
    sender = Sender()
    first, second = sender.frame([event(0)]), sender.frame([event(1)])
    with LogStore(tmp_path / "data") as store:
        writer = store.partitions[0]
        writer.write(writer.admit([entry(first)]))
        back_up(tmp_path / "data", tmp_path / "backup")
        writer.write(writer.admit([entry(second)]))
    restore(tmp_path / "backup", tmp_path / "restored")
    sender.released_below = 3  # its watermark said that both are stored: it has forgotten them
    with contextlib.closing(Catalog(tmp_path / "restored" / CATALOG_FILE)) as catalog:
        partition = acquire(catalog, "logs", 0, _LIMITS, now_ns=lambda: T0)
        assert partition is not None
        partition.write(partition.admit([entry(sender.frame([event(2)]))]))
        partition.release()
        report = verify(catalog)
    assert [part.missing for part in report.partitions if part.signal == "logs"] == [1]
    assert stored(tmp_path / "restored") == ["event number 0", "event number 2"]


def test_roll_ups_are_in_a_backup_even_of_segments_that_retention_deleted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    Catalog.create_or_open(data / CATALOG_FILE, partitions=1).close()
    with contextlib.closing(SqliteMetricStore(data, Limits(1 << 60, 1 << 40, 1e9, 0), now_ns=lambda: START)) as store:
        story = Story(store)
        story.day(0)
        story.day(1, roll_over=False)
        maintained(store)
        retention.apply(store.catalog, [Doomed(row, "") for row in store.catalog.segments("metrics") if row.sealed])
        back_up(data, tmp_path / "backup")
        restore(tmp_path / "backup", tmp_path / "restored")
    names = [path.relative_to(data) for path in sorted(data.glob("metrics/p0/1?/*.db"))]
    assert len(names) == 2
    restored = tmp_path / "restored"
    assert [path.relative_to(restored) for path in sorted(restored.glob("metrics/p0/1?/*"))] == names
    assert verified(tmp_path / "restored").findings == []


def test_what_retention_deletes_during_a_backup_counts_as_deleted_in_it(tmp_path: Path) -> None:
    with LogStore(tmp_path / "data") as store:
        for number in range(3):
            store.add([event(number)])
            store.roll_over()
        going = [row for row in store.catalog.segments() if row.sealed][:2]
        deleted: list[str] = []

        def during(name: str, size: int) -> None:
            if not deleted:
                deleted.append(name)
                retention.apply(store.catalog, [Doomed(row, "") for row in going])

        save(tmp_path / "data", tmp_path / "spool", tmp_path / "backup", release="1", progress=during)
    restore(tmp_path / "backup", tmp_path / "restored")
    assert stored(tmp_path / "restored") == ["event number 2"]
    report = verified(tmp_path / "restored")
    assert report.findings == []
    assert sum(part.retired_rows for part in report.partitions) == 2


def test_a_lane_that_is_sent_while_the_moment_is_fixed_keeps_its_partition_and_all_its_frames(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", max_bytes=1 << 20)
    sender = Sender()
    lane = spool.create(sender.lane, "logs")
    lane.append([sender.frame([event(0)])])
    with spool_moment(tmp_path / "spool") as moment:
        moment.look()
        lane.place(1)  # sent, committed and released, before and after the segments were looked at
        lane.append([sender.frame([event(1)])])
        lane.release(2)
        lane.close()
        moment.look_again()
        list(moment.copy(tmp_path / "copy"))
    (adopted,) = Spool(tmp_path / "copy", max_bytes=1 << 20).orphans(9)
    assert (adopted.partition, adopted.low, adopted.last and adopted.last.seq) == (1, 0, 1)
    adopted.close()
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_backup_is_readable_by_its_owner_only_and_complete(tmp_path: Path, valkey: str) -> None:
    made = Instance(tmp_path / "data", valkey)
    made.close()
    (made.data / "secret.key").write_text("00" * 32 + "\n")
    (made.data / "secret.key").chmod(0o600)
    before = os.umask(0)
    try:
        manifest = back_up(made.data, tmp_path / "backup")
    finally:
        os.umask(before)
    for path in [tmp_path / "backup", *(tmp_path / "backup").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    names = {file.path for file in manifest.files}
    assert {"admin.key", "secret.key", "catalog.db", "control.db"} <= names
    on_disk = {path.relative_to(tmp_path / "backup").as_posix() for path in (tmp_path / "backup").rglob("*.*")}
    assert on_disk == names | {MANIFEST_FILE}
    assert manifest.schemas["control"] == known_schemas()["control"]
    assert Manifest.read(tmp_path / "backup") == manifest


def test_a_backup_goes_where_nothing_is_and_outside_of_the_data(tmp_path: Path) -> None:
    LogStore(tmp_path / "data").__exit__()
    (tmp_path / "taken").mkdir()
    with pytest.raises(PermanentError, match="exists"):
        back_up(tmp_path / "data", tmp_path / "taken")
    with pytest.raises(PermanentError, match="inside of the data directory"):
        back_up(tmp_path / "data", tmp_path / "data" / "backup")
    with pytest.raises(PermanentError, match="holds no store"):
        back_up(tmp_path / "nothing", tmp_path / "backup")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "taken"]


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A small backup."""
    with LogStore(tmp_path / "data") as store:
        store.add([event(0)])
        back_up(tmp_path / "data", tmp_path / "backup")
    return tmp_path / "backup"


def test_a_damaged_backup_is_refused_before_anything_is_changed(tmp_path: Path, backup: Path) -> None:
    victim = backup / "logs" / "p0" / "000001.db"
    content = bytearray(victim.read_bytes())
    content[5000] ^= 1
    victim.write_bytes(content)
    with pytest.raises(StoreCorrupt, match=r"000001\.db is not as it was"):
        restore(backup, tmp_path / "restored")
    victim.unlink()
    with pytest.raises(StoreCorrupt, match="cannot be read"):
        restore(backup, tmp_path / "restored")
    (backup / MANIFEST_FILE).unlink()
    with pytest.raises(StoreCorrupt, match="is no backup"):
        restore(backup, tmp_path / "restored")
    assert not (tmp_path / "restored").exists()


def test_a_manifest_that_names_files_outside_or_newer_schemas_is_refused(tmp_path: Path, backup: Path) -> None:
    path = backup / MANIFEST_FILE
    sound = orjson.loads(path.read_bytes())
    for changes, message in (
        ({"files": [{"path": "../evil", "bytes": 0, "sha256": ""}]}, "outside"),
        ({"files": [{"path": "/evil", "bytes": 0, "sha256": ""}]}, "outside"),
        ({"format": 2}, "newer release"),
        ({"schemas": {"segment": 99}}, r"segment files of version 99.* release 1\.2\.3 or newer"),
        ({"schemas": {"traces": 1}}, "traces files of version 1"),
        ({"files": 3}, "damaged"),
    ):
        path.write_bytes(orjson.dumps({**sound, **changes}))
        with pytest.raises(StoreCorrupt, match=message):
            restore(backup, tmp_path / "restored")
    assert not (tmp_path / "restored").exists()


def test_a_directory_with_data_is_set_aside_only_by_force(tmp_path: Path, backup: Path) -> None:
    there = tmp_path / "there"
    LogStore(there).__exit__()
    with pytest.raises(PermanentError, match="--force"):
        restore(backup, there)
    done = restore(backup, there, force=True)
    assert done.aside is not None
    assert (done.aside / CATALOG_FILE).exists()
    assert stored(there) == ["event number 0"]
    assert verified(there).findings == []
