"""Functions that the tests of RQ run as jobs."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import requests
from rq import Queue, Retry, get_current_job
from rq.timeouts import JobTimeoutException

from monitoring import error_context, get_logger, set_user

log = get_logger("jobs")


def greet(name: str) -> str:
    """A job that logs."""
    log.info("greeted", name=name)
    return f"hello {name}"


async def greet_later(name: str) -> str:
    """A job that is a coroutine."""
    log.info("greeted later", name=name)
    return name


def call(url: str) -> int:
    """A job that asks another service."""
    return requests.get(url, timeout=20).status_code


def fail(order: str) -> None:
    """A job that raises."""
    set_user("u-7")
    with error_context(order=order):
        raise ValueError("no such order")


def again() -> Any:
    """A job that wants to be run again."""
    return Retry(max=3)


def hand_on(name: str) -> None:
    """A job that enqueues another."""
    job = get_current_job()
    assert job is not None
    Queue("default", connection=job.connection).enqueue(greet, name)


def die() -> None:
    """A job whose process is killed, as by the system when memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


def chatter() -> None:
    """A job that logs for ever, or for five times as long as it may."""
    ends = time.monotonic() + 5
    while time.monotonic() < ends:
        log.bind(more="x").info("still here")


def sleep() -> None:
    """A job that takes longer than it may."""
    try:
        time.sleep(60)
    except JobTimeoutException:
        log.info("out of time")
        raise
