"""A run has an id of its own, and whatever is said within it carries that id."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.producers import llm
from monitoring.producers.client import active, install
from monitoring.producers.context import bind, bound, contextual
from monitoring.producers.llm.runs import outcome_of
from monitoring.producers.logger import get_logger
from tests.producers.llm_story import Story, listening

log = get_logger("app")


@pytest.fixture
def story() -> Iterator[Story]:
    with listening() as told:
        yield told


def _ids(story: Story) -> dict[str, str | None]:
    return {event["message"]: event.get("run_id") for event in story.events if event["logger"] == "app"}


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.tuples(st.integers(0, 1 << 44), st.integers(0, (1 << 25) - 1)), min_size=2, max_size=20))
def test_ids_sort_by_the_time_of_their_making(made: list[tuple[int, int]]) -> None:
    ids = [llm.new_run_id(lambda ms=ms: ms * 1_000_000, lambda bits, drawn=drawn: drawn) for ms, drawn in made]  # type: ignore[misc]
    assert sorted(ids) == [ids[i] for i in sorted(range(len(made)), key=lambda i: (made[i], ids[i]))]
    assert all(re.fullmatch("[0-9a-z]{14}", each) for each in ids)


def test_ids_made_at_once_differ() -> None:
    assert len({llm.new_run_id() for _ in range(1000)}) == 1000


def test_every_line_within_the_block_carries_the_id_and_none_outside(story: Story) -> None:
    log.info("before")
    with llm.fine_tuning("m") as job:
        log.info("within")
        job.log.info("by its own logger")
    log.info("after")
    assert _ids(story) == {"before": None, "within": job.run_id, "after": None}
    assert {event.get("run_id") for event in story.events if event["logger"] != "app"} == {job.run_id}


def test_an_id_may_be_given(story: Story) -> None:
    with llm.fine_tuning("m", run_id="run-7") as job:
        assert job.run_id == "run-7"
    assert story.one("fine_tuning.ended")["run_id"] == "run-7"


def test_within_a_nested_run_lines_carry_the_inner_id_then_the_outer_one_again(story: Story) -> None:
    with llm.fine_tuning("m") as job:
        log.info("training")
        with llm.evaluation("suite", model="m") as evaluation:
            log.info("evaluating")
        log.info("training again")
    ids = _ids(story)
    assert ids == {"training": job.run_id, "evaluating": evaluation.run_id, "training again": job.run_id}


def test_events_of_an_outer_run_keep_its_id_within_an_inner_one(story: Story) -> None:
    with llm.fine_tuning("m") as job, llm.evaluation("suite", model="m"):
        job.step(1, loss=1)
    assert story.one("fine_tuning.step")["run_id"] == job.run_id


def test_without_a_block_the_id_is_bound_from_start_to_finish(story: Story) -> None:
    with contextual(run_id="outer"):
        job = llm.fine_tuning("m").start()
        bind(user="u1")
        log.info("within")
        job.finish()
        assert bound() == {"run_id": "outer", "user": "u1"}
    assert _ids(story) == {"within": job.run_id}


def test_what_was_bound_within_the_block_goes_with_it(story: Story) -> None:
    with llm.fine_tuning("m"):
        bind(epoch=3)
    assert bound() == {}


def test_finishing_elsewhere_leaves_the_ids_there_alone(story: Story) -> None:
    job = llm.fine_tuning("m").start()

    def elsewhere() -> None:
        with contextual(run_id="theirs"):
            job.finish()
            log.info("elsewhere")

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert _ids(story) == {"elsewhere": "theirs"}
    assert job.outcome == "succeeded"


def test_tasks_that_interleave_keep_their_ids_apart(story: Story) -> None:
    async def run(name: str, mine: asyncio.Event, theirs: asyncio.Event) -> str:
        with llm.fine_tuning(name) as job:
            for round_number in range(3):
                log.info(f"{name} {round_number}")
                theirs.set()
                await mine.wait()
                mine.clear()
            theirs.set()
        return job.run_id

    async def both() -> tuple[str, str]:
        first, second = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(run("a", first, second), run("b", second, first))

    one, two = asyncio.run(both())
    assert one != two
    assert _ids(story) == {f"{name} {n}": run_id for name, run_id in (("a", one), ("b", two)) for n in range(3)}


def test_without_a_client_nothing_is_recorded_and_the_id_is_bound_all_the_same() -> None:
    before = install(None)
    try:
        assert active() is None
        with llm.fine_tuning("m") as job:
            assert bound() == {"run_id": job.run_id}
            job.step(1, loss="high")
            with llm.call("gpt") as call:
                call.usage(input_tokens=-1)
        assert job.outcome == "succeeded"
    finally:
        install(before)


def test_a_run_ends_once(story: Story) -> None:
    with llm.fine_tuning("m") as job:
        job.finish("cancelled")
        job.finish("failed")
    assert story.one("fine_tuning.ended")["outcome"] == "cancelled"
    assert job.outcome == "cancelled"


def test_a_run_that_many_threads_end_ends_once(story: Story) -> None:
    job = llm.fine_tuning("m").start()
    threads = [threading.Thread(target=job.finish) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(story.of("fine_tuning.ended")) == 1


def test_leaving_the_block_in_a_forked_child_does_not_end_the_run(story: Story) -> None:
    reads, writes = os.pipe()
    with llm.fine_tuning("m") as job:
        child = os.fork()
        if child == 0:
            ended = b"?"
            try:
                job.__exit__(None, None, None)
                ended = b"%d" % len(story.of("fine_tuning.ended"))
            finally:
                os.write(writes, ended)
                os._exit(0)
        os.waitpid(child, 0)
        assert os.read(reads, 8) == b"0"
        os.close(reads)
        os.close(writes)
    assert story.one("fine_tuning.ended")["outcome"] == "succeeded"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "succeeded"),
        (ValueError("x"), "failed"),
        (MemoryError(), "failed"),
        ("out of memory", "failed"),
        (KeyboardInterrupt(), "cancelled"),
        (SystemExit(1), "cancelled"),
        (asyncio.CancelledError(), "cancelled"),
        (GeneratorExit(), "cancelled"),
    ],
)
def test_an_outcome_says_whether_somebody_asked_for_the_end(error: BaseException | str | None, outcome: str) -> None:
    assert outcome_of(error) == outcome
