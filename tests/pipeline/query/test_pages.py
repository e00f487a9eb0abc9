"""Pages: every event once, in order, whatever arrives meanwhile; honest about limits and about what is gone."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.pipeline.errors import QuerySyntaxError
from monitoring.pipeline.query import limits, search
from monitoring.pipeline.query.completeness import complete_through
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import format_ns
from monitoring.pipeline.query.search import CursorInvalid, Page
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from tests.frames import T0, event
from tests.logstore import LogStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LogStore]:
    with LogStore(tmp_path, partitions=2) as made:
        yield made


_moves = st.lists(
    st.tuples(st.integers(0, 1), st.lists(st.integers(0, 12), max_size=8), st.booleans()), min_size=1, max_size=6
)
"""Batches: partition, times in steps of 250 ns (so many share a microsecond), roll over afterwards."""


def _fill(store: LogStore, moves: list[tuple[int, list[int], bool]], name: str) -> list[str]:
    names = []
    for batch, (partition, times, rolls) in enumerate(moves):
        events = [
            event(0, timestamp=T0 + step * 250, message=f"{name} {batch} {number}", level=9 if step % 2 else 17)
            for number, step in enumerate(times)
        ]
        store.add(events, partition=partition)
        names += [event.message for event in events]
        if rolls and events:
            store.roll_over(partition)
    return names


@settings(max_examples=40, deadline=None)
@given(before=_moves, during=_moves, limit=st.integers(1, 5), order=st.sampled_from(["newest", "oldest"]),
       query=st.sampled_from(["*", "old OR new", "level:error", "n:<5 level:>=info"]))  # fmt: skip
def test_pages_together_show_what_was_there_once_each_and_in_order_whatever_arrives_meanwhile(
    before: Any, during: Any, limit: int, order: str, query: str
) -> None:
    with tempfile.TemporaryDirectory() as directory, LogStore(Path(directory), partitions=2) as store:
        _fill(store, before, "old")
        whole = [event["id"] for event in store.found(query, order=order)]
        shown: list[str] = []
        arriving = iter(during)
        page = store.page(query, order=order, limit=limit)
        while True:
            shown += [event["id"] for event in page.events]
            if page.next_cursor is None:
                break
            _fill(store, [move] if (move := next(arriving, None)) else [], "new")
            page = store.page("* OR x" if query == "*" else query, cursor=page.next_cursor, limit=limit)
        assert len(shown) == len(set(shown))
        assert [event_id for event_id in shown if event_id in set(whole)] == whole


@settings(max_examples=40, deadline=None)
@given(moves=_moves, start=st.integers(-1, 13), length=st.integers(0, 14), slack=st.sampled_from([0, 1, -1]),
       order=st.sampled_from(["newest", "oldest"]))  # fmt: skip
def test_a_range_is_exact_to_the_nanosecond_even_where_ids_lie_behind_their_time(
    moves: Any, start: int, length: int, slack: int, order: str
) -> None:
    low, high = T0 + start * 250 + slack, T0 + (start + length) * 250
    with tempfile.TemporaryDirectory() as directory, LogStore(Path(directory), partitions=2) as store:
        _fill(store, moves, "x")
        expected = {found["id"] for found in store.found("*") if format_ns(low) <= found["timestamp"] < format_ns(high)}
        assert {found["id"] for found in store.found("*", start=low, end=high, order=order)} == expected


def test_thousands_of_events_of_one_microsecond_spill_and_are_found_in_their_range(store: LogStore) -> None:
    for _ in range(3):
        store.add([event(0, timestamp=T0, message="same") for _ in range(3000)])
    assert len(store.found("same", start=T0, end=T0 + 1)) == 9000
    assert store.found("same", start=T0 + 1, end=T0 + 10**9) == []


def test_newest_and_oldest_first_are_each_others_reverse_over_partitions_and_segments(store: LogStore) -> None:
    for number in range(12):
        store.add([event(number * 7 % 12, message=str(number))], partition=number % 2)
        if number % 5 == 4:
            store.roll_over(number % 2)
    newest = store.messages("*", limit=5)
    assert newest == store.messages("*", limit=5, order="oldest")[::-1]
    assert [found["timestamp"] for found in store.found("*")] == sorted(
        (found["timestamp"] for found in store.found("*")), reverse=True
    )


def test_an_event_is_found_by_its_id_before_and_after_its_segment_is_sealed(store: LogStore) -> None:
    store.add([event(1, message="one"), event(2, message="two")], partition=1)
    (one,) = store.found("one")
    assert _event(store, one["id"]) == one
    store.roll_over(1)
    assert _event(store, one["id"]) == one
    for wrong in (
        "",
        "x",
        one["id"][:-1] + "9",
        "0" * 16 + "-1-1",
        one["id"].upper(),
        one["id"] + "0",
        "-".join("٤٢٣"),
    ):
        assert _event(store, wrong) is None


def _event(store: LogStore, public_id: str) -> dict[str, Any] | None:
    return search.event(store.catalog, store.reader, public_id, deadline=Deadline(60))


@pytest.mark.parametrize("cursor", ["x", "AAAA", "é", "A" * 76, "====", "\ud800"])
def test_a_cursor_that_no_page_gave_is_refused(store: LogStore, cursor: str) -> None:
    with pytest.raises(CursorInvalid):
        store.page("*", cursor=cursor)


def test_a_cursor_keeps_the_range_and_order_of_its_first_page(store: LogStore) -> None:
    store.add([event(number, message=str(number)) for number in range(10)])
    first = store.page("*", start=T0 + 3000, end=T0 + 8000, order="oldest", limit=2)
    rest = store.page("*", start=0, end=1, order="newest", limit=10, cursor=first.next_cursor)
    assert [found["message"] for found in first.events + rest.events] == ["3", "4", "5", "6", "7"]
    assert (rest.start_ns, rest.end_ns) == (T0 + 3000, T0 + 8000)


def test_a_range_that_ends_before_it_begins_is_empty(store: LogStore) -> None:
    store.add([event(1)])
    page = store.page("*", start=T0 + 10**9, end=T0)
    assert (page.events, page.next_cursor, page.partial_reason) == ([], None, None)


def _walked(store: LogStore, query: str, budgets: Iterator[int]) -> tuple[list[str], list[Page]]:
    """All pages of a query whose clock allows each so many looks before the time is up."""
    found, pages, cursor = [], [], None
    while True:
        looks = iter(range(next(budgets)))

        def clock(looks: Iterator[int] = looks) -> float:
            return 0.0 if next(looks, None) is not None else 100.0

        deadline = Deadline(50, clock=clock)
        page = search.search(
            store.catalog, store.reader, query, T0, T0 + 10**12, deadline=deadline, limit=50, cursor=cursor
        )
        pages.append(page)
        found += [event["message"] for event in page.events]
        cursor = page.next_cursor
        if cursor is None:
            return found, pages


def test_a_search_that_runs_out_of_time_says_so_and_its_cursor_goes_on_from_there(store: LogStore) -> None:
    for partition in (0, 1):
        store.add([event(number, message=f"{partition} {number}") for number in range(4000)], partition=partition)
    expected = store.messages(r"message:/\b\d*99\d*$/")
    found, pages = _walked(store, r"message:/\b\d*99\d*$/", iter([4, 5, 6, 7, 8] * 100))
    assert found == expected
    assert any(page.partial_reason == "time" for page in pages)
    assert all(page.next_cursor for page in pages if page.partial_reason)


def test_one_long_statement_is_stopped_at_the_deadline(store: LogStore) -> None:
    store.add([event(1)])
    looks = iter(range(3))
    deadline = Deadline(50, clock=lambda: 0.0 if next(looks, None) is not None else 100.0)
    with (
        pytest.raises(apsw.InterruptError),
        store.reader.view(store.catalog.segments("logs")[0].path, deadline) as view,
    ):
        list(
            view.connection.execute(
                "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
            )
        )


def test_a_page_of_large_events_stops_at_its_size_and_goes_on(store: LogStore) -> None:
    size = limits.MAX_PAGE_BYTES // 10
    for number in range(25):
        store.add([event(number, message=f"{number} ".ljust(size, "-"))])
    page = store.page("*", limit=100)
    assert page.partial_reason == "size"
    assert 0 < sum(len(found["message"]) for found in page.events) <= limits.MAX_PAGE_BYTES
    numbers = []
    while True:
        numbers += [int(found["message"].split()[0]) for found in page.events]
        if page.next_cursor is None:
            break
        page = store.page("*", limit=100, cursor=page.next_cursor)
    assert numbers == list(range(24, -1, -1))


def test_a_segment_that_retention_has_deleted_is_left_out(store: LogStore) -> None:
    store.add([event(1, message="old")])
    store.roll_over()
    store.add([event(2, message="new")])
    assert store.messages("*") == ["new", "old"]
    old, *_ = store.catalog.segments("logs")
    old.path.unlink()
    assert store.messages("*") == ["new"]
    assert store.reader.open_count <= 2


def test_a_damaged_segment_makes_the_answer_partial_and_names_itself(store: LogStore) -> None:
    store.add([event(1, message="old")])
    store.roll_over()
    store.add([event(2, message="new")])
    old, *_ = store.catalog.segments("logs")
    old.path.write_bytes(b"no database" * 1000)
    page = store.page("*")
    assert [found["message"] for found in page.events] == ["new"]
    assert page.partial_reason is not None
    assert "p0/000001" in page.partial_reason


def test_events_committed_after_a_page_are_in_the_next_search_at_once(store: LogStore) -> None:
    for number in range(5):
        store.add([event(number, service=f"service {number}", message=str(number))])
        assert store.messages(f'service:"service {number}"') == [str(number)]


def test_a_syntax_error_is_raised_before_anything_is_read(tmp_path: Path) -> None:
    with LogStore(tmp_path) as store, pytest.raises(QuerySyntaxError):
        store.page("level:")
    assert store.reader.open_count == 0


def test_threads_search_while_events_arrive_and_segments_roll_over(store: LogStore) -> None:
    store.add([event(number, message=f"old {number}") for number in range(200)])
    expected = [f"old {number}" for number in range(199, -1, -1)]
    arriving = threading.Event()

    def work(number: int) -> int:
        with contextlib.closing(Catalog(store.directory / CATALOG_FILE)) as catalog:
            searches = 0
            while not arriving.is_set() or searches < 3:
                query = ("old", '"event number"', "n:>=0 old", "message:/^old/")[(number + searches) % 4]
                page = search.search(catalog, store.reader, query, T0, T0 + 10**9, deadline=Deadline(60), limit=500)
                assert page.partial_reason is None
                assert query == '"event number"' or [found["message"] for found in page.events] == expected
                searches += 1
            return searches

    with ThreadPoolExecutor(4) as threads:
        found = [threads.submit(work, number) for number in range(4)]
        for number in range(60):
            store.add([event(number * 5 + each) for each in range(5)], partition=number % 2)
            if number % 10 == 9:
                store.roll_over(number % 2)
        arriving.set()
        assert all(future.result() >= 3 for future in found)


class _Bus:
    def __init__(self, **oldest: int | None) -> None:
        self._oldest = oldest

    def oldest_created(self, signal: str, partition: int) -> int | None:
        return self._oldest[f"{signal}{partition}"]


def test_the_store_is_complete_up_to_the_oldest_frame_that_waits_else_up_to_a_second_ago() -> None:
    now = 10_000_000_000
    assert complete_through(_Bus(logs0=None, logs1=None), [0, 1], now) == now - 1_000_000_000
    assert complete_through(_Bus(logs0=5, logs1=7), [0, 1], now) == 5
    assert complete_through(_Bus(logs0=now, logs1=None), [0, 1], now) == now - 1_000_000_000
