"""The contract of a log store: a backend's tests subclass this and provide the fixture `store`.

`store(now)` opens a store of two partitions over the same data each time it is called in a test; segments hold
ten events; `now` is a list of one number, the wall clock in nanoseconds.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitoring.pipeline.errors import Fenced, QuerySyntaxError
from monitoring.pipeline.events.event import Rejected
from monitoring.pipeline.query.aggregate import aggregates
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.store.interface import LogStore
from monitoring.pipeline.store.lease import Holder
from tests.frames import T0, Sender, entry, event

ME = Holder.this_process()
GONE = Holder(boot="another boot", namespace="", pid=1, started=1)


def write(writer, *frames):
    batch = writer.admit([entry(frame, f"{number}-0") for number, frame in enumerate(frames)])
    writer.write(batch)
    return batch


def messages(store, query="*", **options):
    page = store.search(query, EARLIEST, LATEST, deadline=Deadline(60), **options)
    return [found["message"] for found in page.events]


class LogStoreContract:
    """What every backend must do."""

    @pytest.fixture
    def now(self):
        return [T0]

    @pytest.fixture
    def opened(self, store, now) -> LogStore:
        found: LogStore = store(now)
        return found

    def test_what_is_written_is_found_newest_first_and_by_its_id(self, opened):
        writer = opened.acquire(0, ME)
        write(writer, Sender().frame([event(1), event(2)]))
        page = opened.search("number", EARLIEST, LATEST, deadline=Deadline(60))
        assert [found["message"] for found in page.events] == ["event number 2", "event number 1"]
        for found in page.events:
            assert opened.event(found["id"], deadline=Deadline(60)) == found
        writer.release()

    def test_a_histogram_counts_what_a_search_finds(self, opened):
        writer = opened.acquire(0, ME)
        write(writer, Sender().frame([event(n * 1000, level=9 if n % 3 else 17) for n in range(60)]))
        writer.release()
        for query in ("*", "number level:error", "n:>30", "service:api"):
            found = opened.histogram(query, T0, T0 + 60_000_000, deadline=Deadline(60), buckets=6)
            assert len(found.counts) == 6
            assert sum(bucket.total() for bucket in found.counts) == len(messages(opened, query))
            assert found.partial_reason is None

    def test_an_event_is_shown_among_its_neighbours_of_the_same_service_and_host(self, opened):
        writer = opened.acquire(0, ME)
        write(writer, Sender().frame([event(n, service="web" if n % 2 else "api") for n in range(10)]))
        writer.release()
        page = opened.search("n:4", EARLIEST, LATEST, deadline=Deadline(60))
        found = opened.context(page.events[0]["id"], before=2, after=1, deadline=Deadline(60))
        assert found.event == page.events[0]
        assert [each["attributes"]["n"] for each in found.before] == [0, 2]
        assert [each["attributes"]["n"] for each in found.after] == [6]
        assert opened.context("nothing", before=1, after=1, deadline=Deadline(60)) is None

    def test_facets_statistics_and_patterns_tell_of_exactly_what_matches(self, opened):
        for partition in opened.partitions():
            writer = opened.acquire(partition, ME)
            sender = Sender(partition)
            for start in range(0, 30, 10):
                write(writer, sender.frame([event(start + n, service=f"s{n % 3}") for n in range(10)]))
                writer.roll_over_if_due()
            writer.release()
        span = (T0 + 5_000, T0 + 25_000)
        facet, n = opened.facets("number", *span, fields=("service", "n"), limit=5, deadline=Deadline(60)).facets
        assert facet.events == 40
        assert sum(count for _, count in facet.values) == 40
        assert (n.values[0][1], n.distinct, n.sampled) == (2, 20, False)
        told = opened.statistics(
            "number", *span, group_by=("service",), wanted=aggregates("count,sum(n)"), buckets=1, limit=10,
            deadline=Deadline(60),
        )  # fmt: skip
        assert {row.group[0]: row.values["count"] for row in told.rows} == dict(facet.values)
        assert sum(row.values["sum(n)"] for row in told.rows) == 2 * sum(range(5, 25))
        (pattern,) = opened.patterns("number", *span, limit=5, deadline=Deadline(60)).patterns
        assert (pattern.template.text, pattern.count) == ("event number <*>", 40)

    def test_a_frame_is_stored_once_however_often_it_comes(self, opened):
        writer = opened.acquire(0, ME)
        frame = Sender().frame([event(1)])
        write(writer, frame, frame)
        assert write(writer, frame).replayed == 1
        assert messages(opened) == ["event number 1"]
        writer.release()

    def test_frames_are_remembered_after_the_store_is_closed_and_rolled_over(self, store, now):
        sender = Sender()
        frames = [sender.frame([event(number * 10 + n) for n in range(10)]) for number in range(3)]
        for frame in frames:
            opened = store(now)
            writer = opened.acquire(0, ME)
            write(writer, frame)
            writer.roll_over_if_due()
            writer.release()
            opened.close()
        opened = store(now)
        writer = opened.acquire(0, ME)
        assert write(writer, *frames).replayed == 3
        writer.release()
        assert len(messages(opened)) == 30
        assert opened.verify().findings == []

    def test_pages_are_whole_and_in_order_over_partitions_and_segments(self, opened):
        for partition in opened.partitions():
            writer = opened.acquire(partition, ME)
            sender = Sender(partition)
            for start in range(0, 40, 10):
                write(writer, sender.frame([event((start + n) * 2 + partition) for n in range(10)]))
                writer.roll_over_if_due()
            writer.release()
        for order in ("newest", "oldest"):
            found, cursor = [], None
            while True:
                page = opened.search("*", EARLIEST, LATEST, deadline=Deadline(60), limit=7, order=order, cursor=cursor)
                found += [row["message"] for row in page.events]
                cursor = page.next_cursor
                if cursor is None:
                    break
            expected = [f"event number {number}" for number in range(80)]
            assert found == (expected[::-1] if order == "newest" else expected)

    def test_one_process_writes_at_a_time_and_one_that_was_overtaken_is_fenced(self, opened):
        vanished = opened.acquire(0, GONE)
        frame = Sender().frame([event(1)])
        batch = vanished.admit([entry(frame)])
        writer = opened.acquire(0, ME)
        assert not writer.clean
        write(writer, frame)
        with pytest.raises(Fenced):
            vanished.write(batch)
        vanished.abandon()
        other = replace(ME, namespace="another")
        assert opened.acquire(0, other) is None
        writer.release()
        last = opened.acquire(0, other)
        assert last is not None and last.clean
        last.release()
        assert messages(opened) == ["event number 1"]
        assert opened.verify().findings == []

    def test_rejected_input_is_listed_with_where_it_stood(self, opened):
        writer = opened.acquire(1, ME)
        write(writer, Sender().frame([], [Rejected("not a log line", b"\x00\xff", "a.log", 7)]))
        writer.release()
        (letter,) = opened.letters(10)
        assert (letter.content.reason, letter.content.raw, letter.content.line) == ("not a log line", b"\x00\xff", 7)
        assert opened.verify().findings == []

    def test_retention_deletes_what_is_due_and_keeps_the_books(self, opened, now):
        writer = opened.acquire(0, ME)
        sender = Sender()
        day = 86_400 * 10**9
        for ago in (2, 1, 0):
            write(writer, sender.frame([event(n, timestamp=T0 - ago * day + n) for n in range(10)]))
            writer.roll_over_if_due()
        writer.release()
        assert opened.doomed(now[0], max_age_seconds=86_400, max_bytes=0) == []
        going = opened.doomed(now[0] + 3 * day, max_age_seconds=86_400, max_bytes=0)
        assert len(going) == 3
        assert opened.delete(going[:2]) > 0
        assert len(messages(opened)) == 10
        assert opened.verify().findings == []

    def test_drains_know_how_many_they_are(self, opened):
        other = replace(ME, namespace="another")
        assert (opened.attend(ME), opened.attend(other), opened.attend(GONE)) == (1, 2, 2)
        opened.leave(ME)
        assert opened.attend(other) == 1

    def test_a_query_that_cannot_be_understood_says_where(self, opened):
        with pytest.raises(QuerySyntaxError) as caught:
            messages(opened, 'service:"api')
        assert caught.value.column > 0
