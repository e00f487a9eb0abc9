"""A service under steady load: log lines, a counter and a histogram by the SDK, until standard input ends.

python -m bench.soak.service RATE     events a second
"""

from __future__ import annotations

import random
import select
import sys
import time

from monitoring import counter, get_logger, histogram
from monitoring.startup import start_monitoring_with_config, stop_monitoring

__all__ = ["main"]

_STEP_SECONDS = 0.1
_FLUSH_SECONDS = 20.0
_ROUTES = ("/orders", "/orders/<id>", "/pay", "/search")


def main() -> None:
    """Say what a shop would say. What is random is seeded: every run asks for the same work."""
    rate = int(sys.argv[1])
    start_monitoring_with_config(service="soak-shop")
    log = get_logger("soak.shop")
    requests = counter("soak_requests_total", "Requests.", labels=("route", "status"))
    seconds = histogram("soak_request_seconds", "How long requests took.", labels=("route",))
    rng = random.Random(1)
    began, done = time.monotonic(), 0
    while not select.select([sys.stdin], [], [], _STEP_SECONDS)[0]:
        due = int((time.monotonic() - began) * rate)
        for number in range(done, due):
            route, took = rng.choice(_ROUTES), rng.expovariate(10)
            failed = rng.random() < 0.01
            say = log.error if failed else log.info
            say(
                "request answered",
                order=f"A-{number}",
                route=route,
                duration_ms=took * 1000,
                user_id=rng.randrange(10_000),
            )
            requests.inc(route=route, status="500" if failed else "200")
            seconds.observe(took, route=route)
        done = due
    stop_monitoring(timeout_seconds=_FLUSH_SECONDS)


if __name__ == "__main__":
    main()
