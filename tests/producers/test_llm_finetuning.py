"""A fine-tuning job tells its story: start, steps thinned out, checkpoints, what went wrong, and how it ended."""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.pipeline.bus.streams import Streams, connect
from monitoring.producers import llm
from monitoring.producers.context import bound
from monitoring.producers.llm.finetuning import MAX_METRICS
from monitoring.producers.llm.throttle import Throttle
from monitoring.producers.logger import filter_below
from tests.producers.llm_story import Hands, Story, listening, sent, standing
from tests.producers.test_sdk import events_on


@pytest.fixture
def story() -> Iterator[Story]:
    with listening() as told:
        yield told


@pytest.fixture
def model() -> str:
    """A name of its own, for metrics are the process's."""
    return f"bot-{uuid.uuid4().hex}"


def test_the_story_of_a_job(story: Story, model: str) -> None:
    clock = Hands()
    job = llm.fine_tuning(
        model, base_model="llama-3-8b", dataset="tickets", total_steps=4, config={"rank": 8}, clock=clock
    )
    with job:
        for step, loss in enumerate((2.0, 1.5, 1.75), 1):
            clock.at += 10
            job.step(step, loss=loss, learning_rate=2e-5, tokens=1000)
        job.checkpoint("s3://models/step-3", loss=1.75)
        assert standing("llm_fine_tuning_jobs_running") == 1
    assert story.names == [
        "llm.fine_tuning.started",
        *["llm.fine_tuning.step"] * 3,
        "llm.fine_tuning.checkpoint",
        "llm.fine_tuning.ended",
    ]
    started, *steps, checkpoint, ended = story.events
    about = {"base_model": "llama-3-8b", "dataset": "tickets", "config": {"rank": 8}, "total_steps": 4}
    assert started.items() >= {"model": model, "run_id": job.run_id, "resumed": False, **about}.items()
    assert [(step["step"], step["metrics"]) for step in steps] == [
        (1, {"loss": 2.0, "learning_rate": 2e-5}),
        (2, {"loss": 1.5, "learning_rate": 2e-5}),
        (3, {"loss": 1.75, "learning_rate": 2e-5}),
    ]
    assert (checkpoint["checkpoint"], checkpoint["step"]) == ("s3://models/step-3", 3)
    expected = {"outcome": "succeeded", "duration_seconds": 30.0, "step": 3, "tokens": 3000, "level": "INFO"}
    assert ended.items() >= expected.items()
    assert ended["metrics"] == {"loss": 1.75, "learning_rate": 2e-5}
    assert ended["lowest"]["loss"] == {"value": 1.5, "step": 2}
    assert ended["highest"]["loss"] == {"value": 2.0, "step": 1}
    assert standing("llm_fine_tuning_jobs_running") == 0
    assert standing("llm_fine_tuning_tokens_total", model=model) == 3000
    assert standing("llm_fine_tuning_checkpoints_total", model=model) == 1


def test_while_it_runs_its_numbers_are_gauges_that_go_with_it(story: Story, model: str) -> None:
    with llm.fine_tuning(model, total_steps=10) as job:
        job.step(2, loss=1.25, learning_rate=0.5, tokens_per_second=900, epoch=0.1, grad_norm=3)
        run = {"run_id": job.run_id, "model": model}
        assert standing("llm_fine_tuning_step", **run) == 2
        assert standing("llm_fine_tuning_progress_ratio", **run) == 0.2
        assert standing("llm_fine_tuning_loss", **run) == 1.25
        assert standing("llm_fine_tuning_learning_rate", **run) == 0.5
        assert standing("llm_fine_tuning_tokens_per_second", **run) == 900
        assert standing("llm_fine_tuning_epoch", **run) == 0.1
        assert standing("llm_fine_tuning_metric", **run, metric="grad_norm") == 3
    assert sent("llm_fine_tuning_loss", **run) == [1.25]  # once more, or a short run would leave nothing
    assert sent("llm_fine_tuning_loss", **run) == []
    for name in ("step", "progress_ratio", "loss", "learning_rate", "tokens_per_second", "epoch"):
        assert standing(f"llm_fine_tuning_{name}", **run) is None, name
    assert standing("llm_fine_tuning_metric", **run, metric="grad_norm") is None
    assert standing("llm_fine_tuning_heartbeat_timestamp_seconds", **run) is None


def test_a_process_that_dies_leaves_a_heartbeat_that_stands_still(story: Story, model: str) -> None:
    job = llm.fine_tuning(model).start()
    run = {"run_id": job.run_id, "model": model}

    def beat() -> float:
        return standing("llm_fine_tuning_heartbeat_timestamp_seconds", **run) or 0.0

    before = time.time()
    for act in (lambda: job.step(1), lambda: job.checkpoint("x"), job.heartbeat):
        act()
        assert before <= beat() <= time.time()
        before = beat()
    assert story.of("fine_tuning.ended") == []
    job.finish()


_KILLED = """
import os, signal
from monitoring import llm
from monitoring.startup import flush_monitoring, start_monitoring_with_config

start_monitoring_with_config()
with llm.fine_tuning("killed", run_id="run-9") as job:
    job.step(1, loss=2.0)
    job.step(2, loss=1.5)
    assert flush_monitoring()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_is_killed_leaves_its_steps_on_the_bus_and_no_end(valkey: str, tmp_path: Path) -> None:
    Streams(connect(valkey)).announce({"logs": 1}, "test")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MONITORING_", "LOG_"))}
    ours = {"MONITORING_BUS_URL": valkey, "MONITORING_DATA_DIR": str(tmp_path), "MONITORING_COLLECTORS": "none"}
    done = subprocess.run([sys.executable, "-c", _KILLED], env={**inherited, **ours}, timeout=60)
    assert done.returncode == -signal.SIGKILL
    told = [orjson.loads(event.attributes) for event in events_on(valkey)]
    assert [(event["event.name"], event.get("step")) for event in told] == [
        ("llm.fine_tuning.started", None),
        ("llm.fine_tuning.step", 1),
        ("llm.fine_tuning.step", 2),
    ]
    assert {event["run_id"] for event in told} == {"run-9"}


def test_a_job_that_raises_failed_and_the_exception_goes_on(story: Story, model: str) -> None:
    failed = standing("llm_fine_tuning_jobs_total", outcome="failed") or 0
    with pytest.raises(MemoryError), llm.fine_tuning(model) as job:
        job.step(7, loss=1.0)
        raise MemoryError("CUDA out of memory")
    ended = story.one("fine_tuning.ended")
    assert (ended["outcome"], ended["level"], ended["step"]) == ("failed", "ERROR", 7)
    assert (ended["exception"]["type"], ended["exception"]["message"]) == ("MemoryError", "CUDA out of memory")
    assert standing("llm_fine_tuning_jobs_total", outcome="failed") == failed + 1


def test_a_job_that_is_stopped_by_hand_is_cancelled(story: Story, model: str) -> None:
    with pytest.raises(KeyboardInterrupt), llm.fine_tuning(model):
        raise KeyboardInterrupt
    ended = story.one("fine_tuning.ended")
    assert (ended["outcome"], ended["level"], ended["error"]) == ("cancelled", "WARNING", "KeyboardInterrupt")
    assert ended["exception"] is None


def test_a_job_whose_task_is_cancelled_is_cancelled(story: Story, model: str) -> None:
    async def train() -> None:
        with llm.fine_tuning(model):
            await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(train())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert story.one("fine_tuning.ended")["outcome"] == "cancelled"


def test_without_a_block_the_error_or_the_word_says_how_it_ended(story: Story, model: str) -> None:
    llm.fine_tuning(model).start().finish(error=ValueError("no data"))
    llm.fine_tuning(model).start().finish("failed", error="diverged", loss=9.5)
    first, second = story.of("fine_tuning.ended")
    assert (first["outcome"], first["exception"]["message"]) == ("failed", "no data")
    assert (second["outcome"], second["error"], second["metrics"]) == ("failed", "diverged", {"loss": 9.5})


def test_a_loss_that_becomes_nan_is_warned_of_once_counted_and_seen(story: Story, model: str) -> None:
    with llm.fine_tuning(model, event_every=1000) as job:
        for step in range(1, 11):
            job.step(step, loss=math.nan if step > 5 else 6.0 - step, scale=math.inf)
    warnings = story.of("fine_tuning.nonfinite")
    assert [(w["metric"], w["value"], w["step"], w["level"]) for w in warnings] == [
        ("scale", "Infinity", 1, "WARNING"),
        ("loss", "NaN", 6, "WARNING"),
    ]
    assert [step["step"] for step in story.of("fine_tuning.step")] == [1, 6, 10]  # the odd one is told at once
    ended = story.one("fine_tuning.ended")
    assert ended["metrics"]["loss"] == "NaN"
    assert ended["lowest"]["loss"] == {"value": 1.0, "step": 5}
    assert ended["nonfinite"] == {"loss": 5, "scale": 10}
    assert standing("llm_fine_tuning_nonfinite_total", model=model, metric="loss") == 5


def test_while_a_loss_is_nan_it_has_no_gauge_and_then_it_has_again(story: Story, model: str) -> None:
    with llm.fine_tuning(model) as job:
        run = {"run_id": job.run_id, "model": model}
        for loss, values in ((2.0, [2.0]), (math.nan, [2.0]), (-math.inf, []), (1.0, [1.0])):
            job.step(loss=loss)
            assert sent("llm_fine_tuning_loss", **run) == values
        job.step(loss=math.nan)
        job.step(loss=0.5)
        assert sent("llm_fine_tuning_loss", **run) == [0.5]
        assert standing("llm_fine_tuning_loss", **run) == 0.5


def test_a_job_that_is_resumed_while_its_gauges_leave_has_them_again(story: Story, model: str) -> None:
    with llm.fine_tuning(model) as job:
        job.step(1, loss=2.0)
    with llm.fine_tuning(model, run_id=job.run_id, resumed=True) as again:
        again.step(2, loss=1.0)
        for _ in range(3):
            assert sent("llm_fine_tuning_loss", run_id=job.run_id, model=model) == [1.0]


def test_a_resumed_job_goes_on_under_its_id(story: Story, model: str) -> None:
    with pytest.raises(ConnectionError), llm.fine_tuning(model, total_steps=10) as job:
        job.step(5, loss=1.0)
        raise ConnectionError("preempted")
    with llm.fine_tuning(model, total_steps=10, run_id=job.run_id, resumed=True) as again:
        again.step(6, loss=0.9)
    assert {event["run_id"] for event in story.events} == {job.run_id}
    assert [event["resumed"] for event in story.of("fine_tuning.started")] == [False, True]
    assert [event["outcome"] for event in story.of("fine_tuning.ended")] == ["failed", "succeeded"]
    assert [event["step"] for event in story.of("fine_tuning.step")] == [5, 6]


def test_steps_without_a_number_count_up(story: Story, model: str) -> None:
    with llm.fine_tuning(model) as job:
        job.step(loss=1)
        job.step(10, loss=1)
        job.step(loss=1)
    assert [event["step"] for event in story.of("fine_tuning.step")] == [1, 10, 11]


def test_a_long_run_tells_a_few_hundred_of_its_steps_the_first_and_the_last_among_them(
    story: Story, model: str
) -> None:
    with llm.fine_tuning(model, total_steps=100_000, clock=Hands()) as job:
        for step in range(1, 100_001):
            job.step(step, loss=1 / step)
    told = [event["step"] for event in story.of("fine_tuning.step")]
    assert told[:127] == list(range(1, 128))
    assert told[-1] == 100_000
    assert len(told) == 575
    assert all(after - before <= before / 64 + 1 for before, after in itertools.pairwise(told))


@settings(deadline=None)  # the machine may be busy
@given(
    st.integers(1, 200),
    st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=300),
)
def test_while_steps_are_made_one_is_told_within_the_interval(interval: int, gaps: list[float]) -> None:
    clock = Hands()
    throttle = Throttle(interval, None, clock)
    told_at = clock.at
    for number, gap in enumerate(gaps):
        clock.at += gap
        due = throttle.due()
        assert due or number > 0
        assert due or clock.at - told_at < interval
        told_at = clock.at if due else told_at


@pytest.mark.parametrize(("every", "expected"), [(1, [1, 2, 3, 4, 5, 6]), (2, [1, 3, 5, 6]), (4, [1, 5, 6])])
def test_every_kth_step_may_be_asked_for(story: Story, model: str, every: int, expected: list[int]) -> None:
    with llm.fine_tuning(model, event_every=every) as job:
        for step in range(1, 7):
            job.step(step)
    assert [event["step"] for event in story.of("fine_tuning.step")] == expected


def test_the_record_of_a_run_is_kept_whatever_log_level_says(story: Story, model: str) -> None:
    filter_below(17)
    with llm.fine_tuning(model) as job:
        job.step(1, loss=1)
        job.log.info("not kept")
    assert story.names == [f"llm.fine_tuning.{name}" for name in ("started", "step", "ended")]


@pytest.mark.parametrize("value", ["low", b"1", object(), [1.0], 10**400, {}])
def test_what_is_no_number_is_told_and_left_out(
    story: Story, model: str, value: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with llm.fine_tuning(model) as job:
        job.step(1, loss=value, accuracy=0.5, skipped=None)
    assert story.one("fine_tuning.step")["metrics"] == {"accuracy": 0.5}
    assert story.trouble.counts == {"llm_value": 1}
    assert "loss=" in capsys.readouterr().err


def test_numbers_of_other_libraries_are_numbers(story: Story, model: str) -> None:
    class Tensor:
        def __float__(self) -> float:
            return 0.25

    with llm.fine_tuning(model) as job:
        job.step(1, loss=Tensor(), done=True, count=3)
    assert story.one("fine_tuning.step")["metrics"] == {"loss": 0.25, "done": 1.0, "count": 3.0}


def test_nothing_of_it_raises_whatever_it_is_given(story: Story) -> None:
    class Angry:
        def __repr__(self) -> str:
            raise RuntimeError("no")

        __str__ = __float__ = __bool__ = __int__ = __repr__

    angry: Any = Angry()
    with llm.fine_tuning(angry, base_model=angry, dataset=angry, config=angry, total_steps=angry) as job:
        job.step(angry, tokens=angry, loss=angry)
        job.step(-1, tokens=-5)
        job.checkpoint(angry, step=angry, loss=angry)
        job.finish(angry, error=angry, loss=angry)
    assert story.trouble.counts.keys() <= {"llm_value", "internal"}
    assert bound() == {}


def test_what_fails_inside_is_counted_and_told(story: Story, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        def __str__(self) -> str:
            raise OSError("no such path")

    with llm.fine_tuning(model) as job:
        job.checkpoint(Broken())
    assert story.trouble.counts == {"internal": 1}
    assert "FineTuning.checkpoint failed: OSError: no such path" in capsys.readouterr().err
    assert story.one("fine_tuning.ended")["outcome"] == "succeeded"


def test_a_job_that_has_ended_takes_no_more_steps(story: Story, model: str) -> None:
    with llm.fine_tuning(model) as job:
        job.step(1, loss=1)
    job.step(2, loss=1)
    job.checkpoint("x")
    job.heartbeat()
    assert story.names[-1] == "llm.fine_tuning.ended"
    assert story.trouble.counts == {"llm_value": 3}
    assert standing("llm_fine_tuning_step", run_id=job.run_id, model=model) == 1


def test_names_of_metrics_are_bounded(story: Story, model: str) -> None:
    with llm.fine_tuning(model, event_every=1000) as job:
        for step in range(1, 100):
            job.step(step, loss=1, **{f"sample_{step}": 1})
    ended = story.one("fine_tuning.ended")
    assert len(ended["metrics"]) == MAX_METRICS
    assert "loss" in ended["metrics"]
    assert story.trouble.counts == {"llm_value": 100 - MAX_METRICS}


def test_a_job_that_was_never_started_starts_with_its_first_step(story: Story, model: str) -> None:
    job = llm.fine_tuning(model)
    job.step(1, loss=1)
    job.finish()
    assert story.names == [f"llm.fine_tuning.{name}" for name in ("started", "step", "ended")]
