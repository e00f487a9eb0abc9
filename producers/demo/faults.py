"""Exceptions with the stacks of programs that are not there: their source is text, compiled under the name of a file.

So a trace reads like one of a service, and its fingerprint is that of one bug.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from functools import cache
from typing import Any

__all__ = ["caught"]

_FILES = {
    "tokens": (
        "/srv/inference/app/tokens.py",
        '''
LIMITS = {"gpt-4.1-mini": 1_047_576, "claude-haiku-4-5": 200_000}


def fit(model, messages, tools):
    """Cut the conversation so that it fits the window of the model."""
    window = LIMITS[model.removesuffix("-latest")]
    return window - sum(len(message) // 4 for message in messages)


def prepare(request):
    try:
        return fit(request["model"], request["messages"], request.get("tools"))
    except KeyError as error:
        raise ValueError(f"no context window is known for {request['model']}") from error


def run(model):
    prepare({"model": model, "messages": ["…"]})
''',
    ),
    "upstream": (
        "/srv/inference/app/upstream.py",
        '''
class UpstreamTimeout(Exception):
    """The provider did not answer in time."""


def send(model, seconds):
    raise UpstreamTimeout(f"{model}: no answer after {seconds} s")


def run(model):
    for attempt in range(3):
        send(model, 30)
''',
    ),
    "trainer": (
        "/srv/trainer/train/loop.py",
        '''
class OutOfMemoryError(RuntimeError):
    """What torch raises as torch.OutOfMemoryError."""


def backward(loss, step):
    raise OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 2.50 GiB. "
        "GPU 0 has a total capacity of 79.15 GiB of which 1.21 GiB is free."
    )


def train(step):
    loss = 0.0
    backward(loss, step)


def run(step):
    train(step)
''',
    ),
}


def caught(where: str, argument: object) -> Exception:
    """The exception that a program fails with, as if it had just been caught: `tokens`, `upstream`, `trainer`."""
    try:
        _program(where)(argument)
    except Exception as error:  # whatever the program was written to fail with
        return error
    raise AssertionError(f"{where} does not fail")


@cache
def _program(where: str) -> Callable[[object], Any]:
    path, source = _FILES[where]
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    service = path.split("/")[2]
    names: dict[str, Any] = {"__name__": f"{service}.{where}"}
    exec(compile(source, path, "exec"), names)  # noqa: S102 # nosec B102 - our own text, above
    run: Callable[[object], Any] = names["run"]
    return run
