"""The pool of read-only segments: bounded, shared by threads, fresh, and never holding on to what is gone."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from monitoring.pipeline.errors import StoreCorrupt
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.store.reader import OutOfTime, Reader, SegmentGone
from tests.frames import event
from tests.logstore import LogStore

SOON = 0.05


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LogStore]:
    with LogStore(tmp_path) as made:
        for number in range(6):
            made.add([event(number, service=f"service {number}")])
            made.roll_over()
        yield made


@pytest.fixture
def paths(store: LogStore) -> list[Path]:
    return [row.path for row in store.catalog.segments("logs") if row.sealed]


def count(reader: Reader, path: Path) -> int:
    with reader.view(path, Deadline(60)) as view:
        return int(view.connection.execute("SELECT count(*) FROM log").get)


def test_a_segment_is_opened_once_and_the_longest_unused_one_makes_room(paths: list[Path]) -> None:
    reader = Reader(max_open=2)
    for path in [*paths, *paths]:
        assert count(reader, path) == 1
        assert reader.open_count <= 2
    with reader.view(paths[-1], Deadline(60)) as first:
        connection = first.connection
    with reader.view(paths[-1], Deadline(60)) as second:
        assert second.connection is connection
    reader.close()
    assert reader.open_count == 0


def test_threads_have_a_connection_each_and_never_more_than_the_limit(paths: list[Path]) -> None:
    reader = Reader(max_open=3)
    peak = []

    def work(number: int) -> int:
        with reader.view(paths[number % len(paths)], Deadline(60)) as view:
            peak.append(reader.open_count)
            return sum(1 for _ in view.connection.execute("SELECT * FROM log"))

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(work, range(300))) == {1}
    assert max(peak) <= 3
    reader.close()


def test_who_finds_no_place_in_the_pool_waits_until_the_deadline(paths: list[Path]) -> None:
    reader = Reader(max_open=1)
    with reader.view(paths[0], Deadline(60)):
        with pytest.raises(OutOfTime), reader.view(paths[1], Deadline(SOON)):
            pass
        entered = threading.Event()

        def wait_for_place() -> None:
            with reader.view(paths[1], Deadline(60)):
                entered.set()

        waiting = threading.Thread(target=wait_for_place)
        waiting.start()
    waiting.join(60)
    assert entered.is_set()
    reader.close()


def test_a_view_is_one_state_of_a_segment_that_is_being_written_and_the_next_one_is_fresh(store: LogStore) -> None:
    path = store.catalog.segments("logs")[-1].path
    reader = Reader()
    store.add([event(100, service="early")])
    with reader.view(path, Deadline(60)) as view:
        assert view.head.rows == 1
        store.add([event(101, service="late")])
        assert view.connection.execute("SELECT count(*) FROM log").get == 1
        assert "late" not in view.dimensions["service"]
        version = view.version
    with reader.view(path, Deadline(60)) as view:
        assert view.head.rows == 2
        assert view.names[view.dimensions["service"]["late"]] == "late"
        assert view.version != version
    reader.close()


def test_a_view_cannot_write(paths: list[Path]) -> None:
    reader = Reader()
    with reader.view(paths[0], Deadline(60)) as view, pytest.raises(apsw.ReadOnlyError):
        view.connection.execute("DELETE FROM log")
    reader.close()


def test_a_deleted_segment_is_closed_and_said_to_be_gone(paths: list[Path]) -> None:
    reader = Reader()
    for path in paths:
        count(reader, path)
    paths[0].unlink()
    paths[1].unlink()
    reader.sweep()
    assert reader.open_count == len(paths) - 2
    for path in paths[:2]:
        with pytest.raises(SegmentGone), reader.view(path, Deadline(60)):
            pass
    reader.close()


def test_another_file_at_the_same_path_is_not_mistaken_for_the_first(store: LogStore, paths: list[Path]) -> None:
    reader = Reader()
    with reader.view(paths[0], Deadline(60)) as view:
        assert "service 0" in view.dimensions["service"]
    paths[0].unlink()
    paths[0].write_bytes(paths[1].read_bytes())
    with reader.view(paths[0], Deadline(60)) as view:
        assert "service 1" in view.dimensions["service"]
    reader.close()


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"", b"SQLite format 3\x00" + b"\x00" * 4000])
def test_what_is_no_segment_is_refused_and_takes_no_place_in_the_pool(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "000001.db"
    path.write_bytes(content)
    reader = Reader()
    with pytest.raises(StoreCorrupt), reader.view(path, Deadline(60)):
        pass
    assert reader.open_count == 0


def test_a_segment_of_a_later_release_is_refused(paths: list[Path]) -> None:
    connection = apsw.Connection(str(paths[0]))
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreCorrupt, match="upgrade"), Reader().view(paths[0], Deadline(60)):
        pass


def test_a_connection_whose_statement_was_stopped_is_used_again(paths: list[Path]) -> None:
    reader = Reader()
    looks = iter(range(2))
    deadline = Deadline(1, clock=lambda: 0.0 if next(looks, None) is not None else 9.0)
    with pytest.raises(apsw.InterruptError), reader.view(paths[0], deadline) as view:
        list(
            view.connection.execute(
                "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
            )
        )
    assert reader.open_count == 1
    assert count(reader, paths[0]) == 1
    reader.close()


def test_a_child_process_does_not_use_its_parents_handles(paths: list[Path]) -> None:
    reader = Reader()
    count(reader, paths[0])
    child = os.fork()
    if child == 0:
        right = count(reader, paths[0]) == 1 and reader.open_count == 1
        os._exit(0 if right else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert count(reader, paths[0]) == 1
    reader.close()
