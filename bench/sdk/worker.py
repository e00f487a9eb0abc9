"""Each peer in an interpreter of its own, all measured in turns.

    parent                                    child: python -m bench.sdk.worker PART NAME URL
      |                                         load(NAME, URL) of the part's module
      |<------------- {} or {"missing": "..."} --|
      |--- {"calls": 2000} --------------------->|
      |<------------- {"cpu_us": 3.1, ...} ------|   one round; again and again

Instrumentations patch what they find, so no two share a process. The machine's speed changes over minutes, so no
peer has all its rounds at once: every round takes each of them once, in a new order.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["ROOT", "Found", "Worker", "clean_environment", "compare", "main"]

ROOT = Path(__file__).parents[2]
"""Where `bench` is found by the children, wherever this was started."""
_DRAIN_SECONDS = 0.1
"""A frame that was published is committed within about so long where a drain runs."""
Round = dict[str, float]
"""What one round measured, by name."""


class Found(NamedTuple):
    """The rounds of each peer, and of those that could not be loaded the reason."""

    rounds: dict[str, list[Round]]
    missing: dict[str, str]


def clean_environment() -> dict[str, str]:
    """This process's environment without the settings of any peer: everything as it is by default."""
    settings = ("MONITORING_", "REDIS_URL", "LOG_", "OTEL_", "SENTRY_", "PROMETHEUS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(settings)}


class Worker:
    """A child that measures one peer, one round at a time."""

    def __init__(self, part: str, name: str, url: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.sdk.worker", part, name, url],
            cwd=ROOT, env=clean_environment(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def answer(self) -> dict[str, Any]:
        """Its next line. Raises RuntimeError where it died, its own words being on standard error."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process that measures {self.name} ended with status {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def round(self, options: Mapping[str, Any], meanwhile: Callable[[], object]) -> Round:
        """Have it measure once; `meanwhile` is called again and again until then, and once at the end."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(options) + "\n")
        self._process.stdin.flush()
        while not select.select([self._process.stdout], [], [], _DRAIN_SECONDS)[0]:
            meanwhile()
        meanwhile()
        return self.answer()

    def end(self) -> None:
        """Close it; nothing that it still has is waited for."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def _started(part: str, names: Sequence[str], url: str) -> Iterator[tuple[list[Worker], dict[str, str]]]:
    """Those that could be loaded; of the others, why not."""
    missing: dict[str, str] = {}
    ready: list[Worker] = []
    with ExitStack() as stack:
        for name in names:
            worker = Worker(part, name, url)
            stack.callback(worker.end)
            if reason := worker.answer().get("missing"):
                missing[name] = reason
            else:
                ready.append(worker)
        yield ready, missing


def compare(
    part: str,
    options: Mapping[str, Mapping[str, Any]],
    *,
    url: str,
    rounds: int,
    meanwhile: Callable[[], object],
    seed: int = 1,
) -> Found:
    """Measure the peers named in `options` (each with those of its rounds), so many rounds.

    The first does not count, unless it is the only one. `meanwhile` plays the part of the drain.
    """
    with _started(part, list(options), url) as (workers, missing):
        found: dict[str, list[Round]] = {worker.name: [] for worker in workers}
        order = list(workers)
        shuffle = random.Random(seed).shuffle
        for number in range(rounds):
            for worker in order:
                measured = worker.round(options[worker.name], meanwhile)
                if number or rounds == 1:
                    found[worker.name].append(measured)
            shuffle(order)
        return Found(found, missing)


def main() -> None:
    """The child's side."""
    part, name, url = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a peer prints must not come between the answers
    try:
        measure = importlib.import_module(part).load(name, url)
    except ImportError as error:
        answers.write(json.dumps({"missing": str(error)}) + "\n")
        return
    answers.write("{}\n")
    for line in sys.stdin:
        answers.write(json.dumps(measure(**json.loads(line))) + "\n")


if __name__ == "__main__":
    main()
