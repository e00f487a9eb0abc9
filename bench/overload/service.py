"""A service that logs more than can be stored, by the SDK.

python -m bench.overload.service RATE     events a second

A line on standard input ends the flood: it answers with what it logged, by level, as a line of JSON, lives on, and says
one thing more for each further line. The end of standard input ends it.
"""

from __future__ import annotations

import select
import sys
import time
from collections import Counter

import orjson

from monitoring import get_logger
from monitoring.startup import start_monitoring_with_config, stop_monitoring

__all__ = ["NAME", "main"]

NAME = "overload-sdk"
_STEP_SECONDS = 0.05
_FLUSH_SECONDS = 30.0
_LEVELS = ("debug", "info", "info", "info", "warning")
"""Of five events, in turn: the least and the most important ones are as many."""


def main() -> None:
    """Flood, then wait to be asked."""
    rate = int(sys.argv[1])
    start_monitoring_with_config(service=NAME)
    log = get_logger("overload.shop")
    say = {"debug": log.debug, "info": log.info, "warning": log.warning}
    logged: Counter[str] = Counter()
    began, done = time.monotonic(), 0
    while not select.select([sys.stdin], [], [], _STEP_SECONDS)[0]:
        due = int((time.monotonic() - began) * rate)
        for number in range(done, due):
            level = _LEVELS[number % len(_LEVELS)]
            say[level]("request answered", order=f"A-{number}", route="/orders", duration_ms=number % 97 * 1.5)
            logged[level] += 1
        done = due
    for line in sys.stdin:
        if line.strip():
            log.warning(line.strip())
            logged["warning"] += 1
        print(orjson.dumps(logged).decode(), flush=True)
    stop_monitoring(timeout_seconds=_FLUSH_SECONDS)


if __name__ == "__main__":
    main()
