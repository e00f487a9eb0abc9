"""How far files were read, and the frames on their way: one transaction, and one owner at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.bus.frame import Frame
from monitoring.pipeline.errors import AlreadyRunning, PermanentError, StoreCorrupt
from monitoring.pipeline.ingest.state import (
    FILE_NAME,
    HEAD_BYTES,
    Identity,
    IngestState,
    Lock,
    Place,
    identify,
)
from tests.frames import Sender, event, lane_id

PLACE = Place(generation=1, offset=100, line=7, format="json", last_ns=5)


def identity(head: bytes = b"first line\n", *, size: int | None = None, inode: int = 2) -> Identity:
    return Identity(1, inode, head, len(head) if size is None else size)


def frame(sender: Sender) -> Frame:
    return sender.frame([event(sender.seq)])


def stored(state: IngestState) -> list[tuple[str, list[int]]]:
    """Lanes with the seqs that are stored, as the next process would take them up."""
    found = []
    for orphan in list(state.orphans()):
        found.append((orphan.lane, [frame.seq for frame in orphan.frames]))
        orphan.lock.release()
    return found


def test_a_frame_and_the_place_behind_it_are_stored_together(tmp_path: Path) -> None:
    state = IngestState(tmp_path)
    sealed = frame(Sender())
    state.commit(sealed, [(identity(), "/a.log", PLACE)], now_ns=1)
    state.close()
    state = IngestState(tmp_path)
    assert state.place(identity()) == PLACE
    (orphan,) = state.orphans()
    assert orphan.frames == [sealed] and orphan.partition is None
    orphan.lock.release()
    state.close()


def test_neither_is_stored_where_one_cannot_be(tmp_path: Path) -> None:
    state = IngestState(tmp_path)
    sealed = frame(Sender())
    state.commit(sealed, [(identity(), "/a.log", PLACE)], now_ns=1)
    with pytest.raises(apsw.ConstraintError):
        state.commit(sealed, [(identity(), "/a.log", Place(1, 200, 9, "json"))], now_ns=2)
    assert state.place(identity()) == PLACE
    assert stored(state) == [(sealed.lane, [1])]
    state.close()


def test_committed_frames_are_forgotten_with_the_next_commit(tmp_path: Path) -> None:
    state = IngestState(tmp_path)
    sender = Sender()
    for _ in range(3):
        state.commit(frame(sender), [], now_ns=1)
    state.commit(frame(sender), [], now_ns=1, released=2, lane=sender.lane)
    assert stored(state) == [(sender.lane, [3, 4])]
    state.set_partition(sender.lane, 1)
    (orphan,) = state.orphans()
    assert orphan.partition == 1
    orphan.lock.release()
    state.forget_lane(sender.lane, 3)
    assert stored(state) == [(sender.lane, [4])]
    state.forget_lane(sender.lane, 4)
    assert stored(state) == []
    state.close()


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (identity(b"first line\nsecond\n"), PLACE),
        (identity(b"first line\n" + b"x" * 2000), PLACE),
        (identity(b"other line\n" + b"x" * 2000), Place(generation=2)),
        (identity(b"first"), Place(generation=2)),
        (identity(b""), Place(generation=2)),
        (identity(b"first line\n", inode=3), Place()),
    ],
    ids=["grown", "grown beyond the head", "another content", "shrunk", "emptied", "another file"],
)  # fmt: skip
def test_a_file_is_known_by_device_inode_and_head(tmp_path: Path, now: Identity, expected: Place) -> None:
    state = IngestState(tmp_path)
    state.commit(None, [(identity(), "/a.log", PLACE)], now_ns=1)
    assert state.place(now) == expected
    state.close()


def test_a_file_that_shrank_is_a_new_generation_though_it_starts_alike(tmp_path: Path) -> None:
    head = b"x" * HEAD_BYTES
    state = IngestState(tmp_path)
    state.commit(None, [(identity(head, size=5000), "/a.log", Place(3, 5000, 9, "json", 1))], now_ns=1)
    assert state.place(identity(head, size=4999)) == Place(generation=4)
    assert state.place(identity(head, size=5000)).offset == 5000
    state.close()


def test_a_head_that_grows_is_known_by_more_bytes(tmp_path: Path) -> None:
    state = IngestState(tmp_path)
    state.commit(None, [(identity(b"ab"), "/a", PLACE)], now_ns=1)
    state.commit(None, [(identity(b"abcd"), "/a", PLACE)], now_ns=2)
    assert state.place(identity(b"abXX")) == Place(generation=2)
    assert state.place(identity(b"abcdef")) == PLACE
    state.close()


def test_the_last_file_under_a_name_is_remembered(tmp_path: Path) -> None:
    state = IngestState(tmp_path)
    assert state.last_of("/a") is None
    state.commit(None, [(identity(inode=5), "/a", PLACE)], now_ns=1)
    state.commit(None, [(identity(inode=2**64 - 1), "/a", PLACE)], now_ns=2)
    last = state.last_of("/a")
    assert last is not None and (last.device, last.inode, last.place, last.updated) == (1, 2**64 - 1, PLACE, 2)
    assert last.is_at(identity(inode=2**64 - 1)) and not last.is_at(identity())
    assert last.goes_on_in(identity(b"first line\n" + b"x" * 90)) and not last.goes_on_in(identity(b"other" * 50))
    assert not last.goes_on_in(identity())
    assert state.known(identity(inode=5)) == PLACE and state.known(identity(inode=6)) is None
    state.close()


def test_a_file_has_one_reader_at_a_time(tmp_path: Path) -> None:
    state, other = IngestState(tmp_path), IngestState(tmp_path)
    lock = state.lock_file(identity(), "/a.log")
    with pytest.raises(AlreadyRunning, match=r"/a\.log is being read by another ingest"):
        other.lock_file(identity(), "/a.log")
    other.lock_file(identity(inode=3), "/b.log").release()
    lock.release()
    other.lock_file(identity(), "/a.log").release()
    assert list((tmp_path / "ingest.locks").iterdir()) == []
    state.close()
    other.close()


def test_a_lane_is_adopted_only_when_its_process_is_gone(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\n"
        "from monitoring.pipeline.ingest.state import IngestState\n"
        "from tests.frames import Sender, event\n"
        "state = IngestState(pathlib.Path(sys.argv[1]))\n"
        "sender = Sender()\n"
        "lock = state.lock_lane(sender.lane)\n"
        "state.commit(sender.frame([event(1)]), [], now_ns=1)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        state = IngestState(tmp_path)
        assert stored(state) == []
        process.kill()
        process.wait()
        assert stored(state) == [(lane_id(0), [1])]
        state.close()
    finally:
        process.kill()
        process.communicate()


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_on_a_new_one(tmp_path: Path) -> None:
    for _ in range(3):
        lock = Lock.take(tmp_path, "x")
        assert lock is not None and Lock.take(tmp_path, "x") is None
        lock.release()
        lock.release()


def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreCorrupt, match="set it aside"):
        IngestState(tmp_path)


def test_a_directory_that_cannot_be_written_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PermanentError, match="or set MONITORING_DATA_DIR to a directory of your own"):
        IngestState(tmp_path / "file")


def test_a_file_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    state = IngestState(tmp_path)
    state.close()
    connection = apsw.Connection(str(tmp_path / FILE_NAME))
    connection.pragma("user_version", 99)
    connection.close()
    with pytest.raises(StoreCorrupt, match="newer release"):
        IngestState(tmp_path)


def test_the_file_is_nobody_elses_and_gives_back_the_room_of_committed_frames(tmp_path: Path) -> None:
    state = IngestState(tmp_path)
    sender = Sender()
    for number in range(50):
        state.commit(sender.frame([event(number, message="x" * 100_000)]), [], now_ns=1)
    state.forget_lane(sender.lane, 50)
    state.close()
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / FILE_NAME).stat().st_size < 500_000


def test_an_open_file_tells_who_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"y" * 3000)
    handle = os.open(path, os.O_RDONLY)
    found = identify(handle)
    os.close(handle)
    stat = path.stat()
    assert (found.device, found.inode, found.size, found.head) == (stat.st_dev, stat.st_ino, 3000, b"y" * HEAD_BYTES)


@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(0, 40))
def test_a_file_continues_exactly_where_its_head_is_the_start_of_what_is_there(
    old: bytes, new: bytes, cut: int
) -> None:
    from monitoring.pipeline.ingest.state import _digest

    grown = old + new
    assert identity(grown).continues(_digest(old), len(old))
    assert identity(grown[:cut]).continues(_digest(old), len(old)) == (cut >= len(old))
    assert identity(new).continues(_digest(old), len(old)) == new.startswith(old)
