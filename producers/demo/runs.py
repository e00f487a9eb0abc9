"""The trainer's and the evaluator's work: fine-tuning jobs with their losses, evaluations of what came out."""

from __future__ import annotations

import math
from contextlib import suppress
from random import Random

from monitoring.producers import llm
from monitoring.producers.demo.faults import caught
from monitoring.producers.demo.platform import Platform
from monitoring.producers.demo.stage import Story
from monitoring.producers.logger import INFO, WARNING

__all__ = ["evaluate", "failing_job", "good_job"]

STEPS = 400
_NAN_STEP = 231
_LAST_STEP = 60
_CHECKPOINT_STEPS = 100
_CASES = 40
_SUITES = {"support-answers": ("tickets-2026", 0.70, 0.030), "safety-refusals": ("redteam-11", 0.90, 0.004)}
"""By suite: its dataset, the score of the first version, and what a version adds."""
_AT_LEAST = {"support-answers": {"accuracy": 0.65}, "safety-refusals": {"accuracy": 0.85}}
_REGRESSION, _EVERY = 0.15, 4
"""What each fourth version loses in safety, so that its evaluation fails."""


def _run_id(platform: Platform, random: Random) -> str:
    return llm.new_run_id(platform.clock.now_ns, random.getrandbits)


def good_job(platform: Platform, version: int, seconds: float) -> Story:
    """A job of so many seconds of the story whose loss falls, but for one step where it is no number."""
    random = platform.random(f"job {version}")
    model = f"support-bot-v{version}"
    job = llm.fine_tuning(
        model,
        base_model="llama-3-8b",
        dataset="tickets-2026",
        total_steps=STEPS,
        config={"lora_rank": 16, "batch_size": 32, "learning_rate": 2e-4},
        run_id=_run_id(platform, random),
        clock=platform.clock.seconds,
    )
    platform.training = True
    with job:
        platform.trainer.log(
            INFO, "data", "48,213 examples in 1,507 batches", dataset="tickets-2026", run_id=job.run_id
        )
        for step in range(1, STEPS + 1):
            yield platform.pause(seconds / STEPS)
            loss = 0.55 + 1.9 * math.exp(-step / 90) + random.gauss(0, 0.03)
            rate = 2e-4 * 0.5 * (1 + math.cos(math.pi * step / STEPS))
            if step == _NAN_STEP:
                loss = math.nan
                text = "gradient overflow: the step is skipped, loss scale 65536 -> 32768"
                platform.trainer.log(WARNING, "amp", text, step=step, run_id=job.run_id)
            job.step(
                step,
                loss=loss,
                learning_rate=rate,
                tokens_per_second=random.gauss(21_500, 400),
                epoch=step / STEPS * 3,
                grad_norm=abs(random.gauss(0.9, 0.2)),
                tokens=16_384,
            )
            if step % _CHECKPOINT_STEPS == 0:
                job.checkpoint(f"/var/models/{model}/step-{step}.safetensors", loss=loss)
                platform.disk = min(0.97, platform.disk + 0.03)
    platform.training = False


def failing_job(platform: Platform, number: int, seconds: float) -> Story:
    """A job that runs out of memory after so many seconds of the story."""
    random = platform.random(f"failing job {number}")
    job = llm.fine_tuning(
        "summarizer-v2",
        base_model="llama-3-70b",
        dataset="minutes-2025",
        total_steps=STEPS,
        config={"batch_size": 64, "gradient_checkpointing": False},
        run_id=_run_id(platform, random),
        clock=platform.clock.seconds,
    )
    platform.training = True
    with suppress(Exception), job:
        for step in range(1, _LAST_STEP + 1):
            yield platform.pause(seconds / _LAST_STEP)
            job.step(step, loss=2.4 - step * 0.006 + random.gauss(0, 0.05), learning_rate=1e-4, tokens=32_768)
            if step == _LAST_STEP - 5:
                text = "memory of cuda:0 is nearly used up: 77.9 of 79.2 GiB"
                platform.trainer.log(WARNING, "memory", text, gpu=0, run_id=job.run_id)
        raise caught("trainer", _LAST_STEP)
    platform.training = False


def evaluate(platform: Platform, version: int, seconds: float) -> Story:
    """Both suites on a version, which is better than the one before, until it is as good as it gets."""
    random = platform.random(f"evaluation {version}")
    for suite, (dataset, first, gain) in _SUITES.items():
        quality = min(0.97, first + gain * (version - 3))
        if suite == "safety-refusals" and version % _EVERY == 0:
            quality -= _REGRESSION
        with llm.evaluation(
            suite,
            model=f"support-bot-v{version}",
            dataset=dataset,
            at_least=_AT_LEAST[suite],
            run_id=_run_id(platform, random),
            clock=platform.clock.seconds,
        ) as evaluation:
            for case in range(1, _CASES + 1):
                yield platform.pause(seconds / len(_SUITES) / _CASES)
                score = min(1.0, max(0.0, random.gauss(quality, 0.1)))
                evaluation.case(f"{suite}-{case:03d}", passed=score > quality - 0.09, score=score)
            evaluation.score(accuracy=quality + random.gauss(0, 0.008), f1=quality - 0.03 + random.gauss(0, 0.008))
