"""An event's neighbours are those right before and after it in the same service and host, wherever they are stored."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.pipeline.query.context import context
from monitoring.pipeline.query.limits import Deadline
from tests.frames import T0, event
from tests.logstore import LogStore

_times = st.lists(st.tuples(st.integers(0, 15), st.sampled_from(["a", "", "b"])), max_size=8)


@settings(max_examples=30, deadline=None)
@given(
    moves=st.lists(st.tuples(st.integers(0, 1), _times, st.booleans()), min_size=1, max_size=5),
    before=st.integers(0, 4),
    after=st.integers(0, 4),
)
def test_the_neighbours_of_any_event_are_those_next_to_it_in_a_search_for_its_service_and_host(
    moves: list[tuple[int, list[tuple[int, str]], bool]], before: int, after: int
) -> None:
    with tempfile.TemporaryDirectory() as directory, LogStore(Path(directory), partitions=2) as store:
        for partition, times, rolls in moves:
            store.add([event(0, timestamp=T0 + step * 250, service=service) for step, service in times],
                      partition=partition)  # fmt: skip
            if rolls and times:
                store.roll_over(partition)
        for service in ("a", "", "b"):
            line = store.found(f'service:"{service}" host:h1', order="oldest")
            for place, each in enumerate(line):
                found = context(store.catalog, store.reader, each["id"], before=before, after=after,
                                deadline=Deadline(60))  # fmt: skip
                assert found is not None
                assert found.event == each
                assert found.before == line[max(0, place - before) : place]
                assert found.after == line[place + 1 : place + 1 + after]
                assert found.partial_reason is None


def test_there_is_no_context_of_what_is_not_there(tmp_path: Path) -> None:
    with LogStore(tmp_path) as store:
        store.add([event(1)])
        for wrong in ("x", "0" * 16 + "-0-1"):
            assert context(store.catalog, store.reader, wrong, before=1, after=1, deadline=Deadline(60)) is None
