"""What happens when: an hour of the platform's life, again and again, each time with the next version of its model.

minute  1  the model in use is evaluated
        2  a fine-tuning job begins: 20 minutes, a NaN at step 231, a checkpoint every 100 steps
        5  1.4.2 is deployed: three of ten chats fail          -> alert "High API error rate"
       12  it is rolled back; the prompt cache is cold and warms up
       23  what was trained is evaluated
       30  a GPU throttles: answers take ten times as long     -> alert "Slow responses"
       37  it recovers
       40  another job begins, and runs out of memory at 46
       52  the disk of the models, full by now, is cleaned up  -> alert "Low disk space" before
"""

from __future__ import annotations

from monitoring.producers.demo.platform import BROKEN, GOOD, Platform
from monitoring.producers.demo.runs import evaluate, failing_job, good_job
from monitoring.producers.demo.service import Service
from monitoring.producers.demo.stage import Story
from monitoring.producers.logger import DEBUG, ERROR, INFO, WARNING

__all__ = ["CYCLE_SECONDS", "direct", "idle"]

CYCLE_SECONDS = 3600.0
_FIRST_VERSION = 3
_MINUTE = 60.0
_SLOW = 10.0
_CLEAN = 0.58


def direct(platform: Platform, calm_seconds: float) -> Story:
    """For ever, after so many seconds of the story in which nothing happens."""
    yield platform.pause(calm_seconds)
    cycle = 0
    while True:
        passed = 0.0
        for minute, act in (
            (1, _evaluate_current),
            (2, _train),
            (5, _deploy),
            (12, _roll_back),
            (23, _evaluate_next),
            (30, _throttle),
            (37, _recover),
            (40, _fail),
            (52, _clean),
        ):
            yield platform.pause(minute * _MINUTE - passed)
            passed = minute * _MINUTE
            act(platform, cycle)
        yield platform.pause(CYCLE_SECONDS - passed)
        cycle += 1


def idle(service: Service) -> Story:
    """A service without users says once a minute that it is there, or the rule "System unavailable" misses it."""
    polls = service.registry.counter("demo_queue_polls_total", "Looks of a worker at its queue.")
    while True:
        polls.inc()
        service.log(DEBUG, "queue", "no job is waiting", queue=f"{service.name}-jobs")
        yield _MINUTE


def _evaluate_current(platform: Platform, cycle: int) -> None:
    platform.stage.play(platform.evaluator, evaluate(platform, _FIRST_VERSION + cycle, 4 * _MINUTE))


def _train(platform: Platform, cycle: int) -> None:
    platform.stage.play(platform.trainer, good_job(platform, _FIRST_VERSION + cycle + 1, 20 * _MINUTE))


def _evaluate_next(platform: Platform, cycle: int) -> None:
    platform.stage.play(platform.evaluator, evaluate(platform, _FIRST_VERSION + cycle + 1, 4 * _MINUTE))


def _fail(platform: Platform, cycle: int) -> None:
    platform.stage.play(platform.trainer, failing_job(platform, cycle, 6 * _MINUTE))


def _deploy(platform: Platform, cycle: int) -> None:
    platform.inference.deploy(BROKEN)
    platform.broken = True
    platform.empty_cache()
    platform.inference.log(INFO, "deploy", f"release {BROKEN} is live on 4 of 4 replicas", before=GOOD)


def _roll_back(platform: Platform, cycle: int) -> None:
    platform.inference.log(WARNING, "deploy", f"rolling back to {GOOD}: chats fail since {BROKEN}", to=GOOD)
    platform.inference.deploy(GOOD)
    platform.broken = False
    platform.empty_cache()
    platform.inference.log(INFO, "deploy", f"release {GOOD} is live on 4 of 4 replicas", before=BROKEN)


def _throttle(platform: Platform, cycle: int) -> None:
    platform.slowness = _SLOW
    text = "cuda:0 throttles: 88 °C, clock 1,410 -> 435 MHz"
    platform.inference.log(ERROR, "gpu", text, gpu=0, temperature=88)


def _recover(platform: Platform, cycle: int) -> None:
    platform.slowness = 1.0
    platform.inference.log(INFO, "gpu", "cuda:0 is back at 1,410 MHz", gpu=0, temperature=61)


def _clean(platform: Platform, cycle: int) -> None:
    full = platform.disk
    platform.disk = _CLEAN
    text = f"checkpoints older than a day are removed: the disk was {full:.0%} full and is {_CLEAN:.0%}"
    platform.trainer.log(WARNING, "disk", text, mount="/var/models")
