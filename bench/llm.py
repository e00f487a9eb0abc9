"""What `monitoring.llm` costs its caller: microseconds of CPU a call, with the SDK started and no bus to send to.

python -m bench.llm                     a table, a few seconds
python -m bench.llm --json              the figures for a program
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable

from bench.machine import describe
from monitoring.producers import llm, sdk

__all__ = ["main", "measure"]

ROUNDS = 9
"""Of which the median is told: the machine's speed is not constant."""


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--calls", type=int, default=1000, help="calls a round, of which there are nine")
    options = parser.parse_args()
    found = {"machine": describe(), "us": measure(options.calls)}
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(f"{name:45} {value:6.1f} us" for name, value in found["us"].items()))


def measure(calls: int) -> dict[str, float]:
    """Microseconds of each call, by its name."""
    with tempfile.TemporaryDirectory() as data:
        sdk.start({"MONITORING_DATA_DIR": data, "MONITORING_CONSOLE": "off"}, {"collectors": "none"})
        try:
            return {name: _median_us(act, calls) for name, act in _acts().items()}
        finally:
            sdk.stop(0)


def _acts() -> dict[str, Callable[[], object]]:
    cache = llm.cache("bench", capacity=100)
    store = {"key": 1}
    quiet = llm.fine_tuning("bench", total_steps=10**9, event_every=10**9).start()
    loud = llm.fine_tuning("bench", total_steps=10**9, event_every=1).start()
    evaluation = llm.evaluation("bench", model="bench").start()

    def call() -> None:
        with llm.call("gpt-4.1-mini", provider="openai") as call:
            call.usage(input_tokens=1200, output_tokens=300)

    def record(rate: float) -> Callable[[], None]:
        def act() -> None:
            llm.sample_calls(rate)
            llm.record_call("gpt-4.1-mini", provider="openai", seconds=1.5, input_tokens=1200, output_tokens=300)

        return act

    numbers = {"loss": 1.5, "learning_rate": 1e-4, "tokens_per_second": 15e3}
    return {
        "cache.hit()": cache.hit,
        "cache.hit(saved_seconds, tokens)": lambda: cache.hit(saved_seconds=0.5, tokens=300),
        "cache.lookup(), a hit": lambda: cache.lookup(store, "key", lambda: 1),
        "job.step(), three metrics, no event": lambda: quiet.step(**numbers),
        "job.step(), three metrics, an event": lambda: loud.step(**numbers),
        "evaluation.case()": lambda: evaluation.case("c-1", passed=True, score=0.5),
        "record_call(), no event": record(0.0),
        "record_call(), an event": record(1.0),
        "with call(): usage(), an event": call,
    }


def _median_us(act: Callable[[], object], calls: int) -> float:
    rounds = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        for _ in range(calls):
            act()
        rounds.append((time.thread_time() - began) / calls * 1e6)
    return statistics.median(rounds)


if __name__ == "__main__":
    main()
