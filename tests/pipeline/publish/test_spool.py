"""A frame that the spool has taken is there for whoever comes, whole and once, until it is released."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.pipeline.bus.frame import Frame
from monitoring.pipeline.bus.lanes import Lane
from monitoring.pipeline.errors import StoreCorrupt, StoreFull
from monitoring.pipeline.publish.spool import ROTATE_BYTES, Spool, SpoolLane
from tests.frames import lane_id
from tests.pipeline.publish.support import spooled_lanes


def frames(
    number: int, *, lane: str = lane_id(0), size: int = 10, start: int = 1, sizes: dict[int, int] | None = None
) -> list[Frame]:
    some = Lane(lane, "logs", 0)

    made = []
    for seq in range(1, start + number):
        frame = some.draft(b'{"x":"%s"}' % (b"%d" % seq).ljust((sizes or {}).get(seq, size)), 1, 1)
        some.retain(frame, hold=False)
        made.append(frame)
    return made[start - 1 :]


def spool(directory: Path, max_bytes: int = 1 << 30) -> Spool:
    return Spool(directory, max_bytes=max_bytes)


def files(directory: Path, lane: str = lane_id(0)) -> list[Path]:
    return sorted((directory / lane).glob("*.frames"))


def read_all(lane: SpoolLane, after: int = 0) -> list[Frame]:
    found: list[Frame] = []
    last = lane.last.seq if lane.last else 0
    while after < last:
        found += lane.read(after, 7, 1 << 20)
        after = found[-1].seq
    return found


def orphan(directory: Path) -> SpoolLane:
    (found,) = spool(directory).orphans(9)
    return found


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """A disk that is full beyond `size` bytes a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    made = frames(20)
    lane = spool(tmp_path).create(lane_id(0), "logs")
    lane.append(made[:5])
    lane.append(made[5:])
    assert lane.read(0, 100, 1 << 20) == made
    assert lane.read(7, 3, 1 << 20) == made[7:10]
    assert lane.read(7, 100, 1) == made[7:8], "at least one"
    lane.close()


def test_a_lane_whose_owner_let_go_is_adopted_with_everything_it_knew(tmp_path: Path) -> None:
    made = frames(6)
    lane = spool(tmp_path).create(lane_id(0), "logs")
    lane.append(made)
    lane.place(3)
    lane.release(2)
    lane.close()
    found = orphan(tmp_path)
    assert (found.lane, found.signal, found.partition, found.low) == (lane_id(0), "logs", 3, 2)
    assert found.last == made[-1]
    assert read_all(found, found.low) == made[2:]
    found.close()


def test_a_lane_of_a_living_owner_is_not_adopted(tmp_path: Path) -> None:
    lane = spool(tmp_path).create(lane_id(0), "logs")
    lane.append(frames(1))
    assert spool(tmp_path).orphans(9) == []
    lane.close()
    (found,) = spool(tmp_path).orphans(9)
    assert spool(tmp_path).orphans(9) == [], "nor one that somebody has adopted"
    found.close()


def test_a_lane_with_nothing_left_to_send_is_removed(tmp_path: Path) -> None:
    lane = spool(tmp_path).create(lane_id(0), "logs")
    lane.append(frames(3))
    lane.release(3)
    lane.close()
    assert spooled_lanes(tmp_path) == []
    lane = spool(tmp_path).create(lane_id(1), "logs")
    lane.forget()  # as if it had died before its first frame
    assert spool(tmp_path).orphans(9) == []
    assert spooled_lanes(tmp_path) == []


def test_a_lane_that_was_begun_and_never_finished_is_removed_after_a_minute(tmp_path: Path) -> None:
    begun = tmp_path / f".new-{lane_id(0)}"
    begun.mkdir()
    assert spool(tmp_path).orphans(9) == [] and begun.exists()
    later = begun.stat().st_mtime_ns + 61 * 10**9
    assert Spool(tmp_path, max_bytes=1, now_ns=lambda: later).orphans(9) == []
    assert not begun.exists()


def test_directories_that_are_no_lanes_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "note.txt").write_text("x")
    assert spool(tmp_path).orphans(9) == []
    assert spooled_lanes(tmp_path) == ["lost+found", "note.txt"]
    assert list((tmp_path / "lost+found").iterdir()) == []


def test_files_rotate_and_go_when_all_of_their_frames_are_committed(tmp_path: Path) -> None:
    lane = spool(tmp_path).create(lane_id(0), "logs")
    made = frames(12, size=ROTATE_BYTES // 3)
    for frame in made:
        lane.append([frame])
    firsts = [int(file.stem) for file in files(tmp_path)]
    assert firsts[0] == 1 and len(firsts) >= 4
    lane.release(firsts[1] - 2)
    assert len(files(tmp_path)) == len(firsts), "its last frame is not committed"
    lane.release(firsts[1] - 1)
    assert [int(file.stem) for file in files(tmp_path)] == firsts[1:]
    assert lane.read(firsts[1] - 1, 1, 1)[0].seq == firsts[1]
    lane.forget()
    found = orphan(tmp_path)
    assert found.low == firsts[1] - 1
    assert read_all(found, found.low) == made[firsts[1] - 1 :]
    found.close()


@pytest.mark.parametrize("cut", [1, 10, 25])
def test_a_torn_tail_is_cut(tmp_path: Path, cut: int) -> None:
    made = frames(4)
    lane = spool(tmp_path).create(lane_id(0), "logs")
    lane.append(made)
    lane.forget()
    (file,) = files(tmp_path)
    whole = file.stat().st_size
    os.truncate(file, whole - cut)
    found = orphan(tmp_path)
    assert read_all(found) == made[:3]
    assert file.stat().st_size < whole - cut
    found.close()


def test_a_file_that_is_torn_from_its_first_byte_is_removed(tmp_path: Path) -> None:
    made = frames(3, size=ROTATE_BYTES - 1000)
    lane = spool(tmp_path).create(lane_id(0), "logs")
    lane.append(made)
    lane.forget()
    os.truncate(files(tmp_path)[-1], 100)
    found = orphan(tmp_path)
    assert read_all(found) == made[:2] and len(files(tmp_path)) == 2
    found.close()


def test_a_damaged_record_between_good_ones_becomes_a_frame_that_says_so(tmp_path: Path) -> None:
    made = frames(5)
    lane = spool(tmp_path).create(lane_id(0), "logs")
    lane.append(made)
    lane.forget()
    (file,) = files(tmp_path)
    data = bytearray(file.read_bytes())
    data[data.index(made[2].payload) + 6] ^= 1
    file.write_bytes(data)
    found = orphan(tmp_path)
    back = read_all(found)
    assert [frame.seq for frame in back] == [1, 2, 3, 4, 5]
    assert back[:2] + back[3:] == made[:2] + made[3:]
    back[2].verify()
    assert b"damaged" in back[2].payload and back[2].count == made[2].count
    assert back[2].counters == made[2].counters
    assert found.read(2, 1, 1) == [back[2]], "the same damage gives the same frame"
    found.close()


def test_a_full_disk_is_told_and_what_comes_later_is_whole(tmp_path: Path) -> None:
    made = frames(8, size=1000)
    lane = spool(tmp_path).create(lane_id(0), "logs")
    lane.append(made[:2])
    with file_size_limit(files(tmp_path)[0].stat().st_size + 1500), pytest.raises(StoreFull, match="make room"):
        lane.append(made[2:6])
    lane.append(made[2:8])
    lane.forget()
    found = orphan(tmp_path)
    assert read_all(found) == made
    found.close()


def test_a_disk_that_is_full_in_the_middle_of_a_rotation_leaves_no_frame_twice(tmp_path: Path) -> None:
    made = frames(6, size=ROTATE_BYTES // 2, sizes={4: ROTATE_BYTES - 1000})
    lane = spool(tmp_path).create(lane_id(0), "logs")
    lane.append(made[:1])
    with file_size_limit(ROTATE_BYTES * 3 // 4), pytest.raises(StoreFull):
        lane.append(made[1:4])
    lane.release(1)
    lane.append(made[1:])
    lane.forget()
    found = orphan(tmp_path)
    assert read_all(found, found.low) == made[1:]
    found.close()


def test_frames_committed_while_the_disk_was_full_leave_a_gap_that_a_reader_understands(tmp_path: Path) -> None:
    made = frames(6)
    lane = spool(tmp_path).create(lane_id(0), "logs")
    lane.append(made[:2])
    lane.release(4)  # 3 and 4 were sent and committed from memory
    lane.append(made[4:])
    lane.forget()
    found = orphan(tmp_path)
    assert found.low == 4 and read_all(found, 4) == made[4:]
    found.close()


def test_the_bound_in_bytes_holds_for_all_lanes_together(tmp_path: Path) -> None:
    one, two = spool(tmp_path, 30_000), spool(tmp_path, 30_000)
    first, second = one.create(lane_id(0), "logs"), two.create(lane_id(1), "logs")
    first.append(frames(20, size=1000))
    with pytest.raises(StoreFull, match="MONITORING_SPOOL_BYTES"):
        second.append(frames(20, lane=lane_id(1), size=1000))
    second.append(frames(1, lane=lane_id(1), size=1000))
    first.release(20)
    first.close()
    second.append(frames(20, lane=lane_id(1), size=1000, start=2))
    second.close()


def test_frames_that_vanish_under_a_living_lane_are_an_error_and_no_silence(tmp_path: Path) -> None:
    lane = spool(tmp_path).create(lane_id(0), "logs")
    lane.append(frames(3))
    files(tmp_path)[0].unlink()
    with pytest.raises((StoreCorrupt, FileNotFoundError)):
        lane.read(0, 1, 1)
    lane.forget()


def test_a_damaged_head_sets_the_lane_aside_and_not_the_others(tmp_path: Path) -> None:
    for number in (0, 1):
        lane = spool(tmp_path).create(lane_id(number), "logs")
        lane.append(frames(1, lane=lane_id(number)))
        lane.forget()
    (tmp_path / lane_id(0) / "head").write_bytes(b"?" * 256)
    some = spool(tmp_path)
    (found,) = some.orphans(9)
    assert found.lane == lane_id(1) and list(some.damaged) == [lane_id(0)]
    found.close()


def test_a_forked_child_holds_no_lock(tmp_path: Path) -> None:
    lane = spool(tmp_path).create(lane_id(0), "logs")
    lane.append(frames(1))
    go, hold = os.pipe()
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(hold)
        os.write(told, b"x")
        os.read(go, 1)  # lives on while its parent lets go
        os._exit(0)
    try:
        os.read(ready, 1)
        lane.forget()
        found = orphan(tmp_path)
        assert found.last is not None
        found.close()
    finally:
        for handle in (go, hold, ready, told):
            os.close(handle)
        os.waitpid(child, 0)


_WRITER = """
import sys
from pathlib import Path
from monitoring.pipeline.bus.lanes import Lane
from monitoring.pipeline.publish.spool import Spool
lane = Lane(sys.argv[2], "logs", 0)
journal = Spool(Path(sys.argv[1]), max_bytes=1 << 30).create(lane.lane, "logs")
while True:
    made = []
    for _ in range(3):
        frame = lane.draft(b"x" * 3000, 1, 1)
        lane.retain(frame, hold=False)
        made.append(frame)
    journal.append(made)
    print(lane.next_seq - 1, flush=True)
"""


def test_what_was_acknowledged_before_kill_9_is_there(tmp_path: Path) -> None:
    for number in range(3):
        directory = tmp_path / str(number)
        command = [sys.executable, "-c", _WRITER, str(directory), lane_id(0)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            acknowledged = 0
            for line in process.stdout:
                acknowledged = int(line)
                if acknowledged >= 300 * (number + 1):
                    process.send_signal(signal.SIGKILL)
                    break
            for line in process.stdout.read().split()[:-1]:  # the last one may be torn
                acknowledged = int(line)
        found = orphan(directory)
        back = read_all(found)
        assert [frame.seq for frame in back] == list(range(1, len(back) + 1))
        assert len(back) >= acknowledged
        found.close()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 400_000), st.integers(1, 4)), min_size=1, max_size=12), st.data())
def test_any_sequence_of_appends_and_releases_is_read_back_from_any_place(
    tmp_path_factory: pytest.TempPathFactory, appends: list[tuple[int, int]], data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    lane = spool(directory).create(lane_id(0), "logs")
    some = Lane(lane_id(0), "logs", 0)
    made: list[Frame] = []
    low = 0
    for size, number in appends:
        batch = []
        for _ in range(number):
            batch.append(some.draft(b"x" * size, 1, 1))
            some.retain(batch[-1], hold=False)
        lane.append(batch)
        made += batch
        low = data.draw(st.integers(low, len(made)))
        lane.release(low)
        if low < len(made):
            after = data.draw(st.integers(low, len(made) - 1))
            found = lane.read(after, 3, 1 << 20)
            assert found == made[after : after + len(found)] and found
    lane.forget()
    for found_lane in spool(directory).orphans(1):
        assert read_all(found_lane, low) == made[low:]
        found_lane.close()
        break
    else:
        assert low == len(made)


def test_a_full_spool_of_which_all_is_committed_takes_frames_again(tmp_path: Path) -> None:
    made = frames(40, size=1000)
    one, other = frames(1)[0].lane, lane_id(1)
    shared = spool(tmp_path, max_bytes=20_000)
    lane, second = shared.create(one, "logs"), shared.create(other, "logs")
    taken = 0
    with pytest.raises(StoreFull):
        for frame in made:
            lane.append([frame])
            taken += 1
    assert 10 < taken < 20
    with pytest.raises(StoreFull):
        second.append(frames(1, lane=other, size=1000))
    lane.release(taken - 1)
    assert read_after(lane, taken - 1) == [taken]
    lane.release(taken)
    assert files(tmp_path) == []
    second.append(frames(1, lane=other, size=1000))  # what another lane has let go is room for this one
    lane.append(made[taken : taken + 2])
    assert read_after(lane, taken) == [taken + 1, taken + 2]
    lane.close()
    found = next(each for each in spool(tmp_path).orphans(9) if each.lane == one)
    assert (found.low, found.last and found.last.seq) == (taken, taken + 2)
    found.close()


def read_after(lane: SpoolLane, after: int) -> list[int]:
    return [frame.seq for frame in lane.read(after, 9, 1 << 20)]
