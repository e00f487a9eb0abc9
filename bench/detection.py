"""From what goes wrong to who is told: the product as a user starts it, a rule, and a webhook that takes the notice.

Each time an event with a group of its own is sent at a random moment of the rule's interval; the time is from the 202
to the request at the webhook. What is promised: 15 seconds and the interval.
"""

from __future__ import annotations

import json
import random
import statistics
import time
import urllib.request
from typing import Any

from bench.product import Product, running
from tests.sink import Sink, sinking

__all__ = ["PROMISED_SECONDS", "detection"]

PROMISED_SECONDS = 15.0
"""Besides the interval."""


def detection(repeats: int, interval_seconds: int) -> dict[str, Any]:
    """Median, 95th percentile and maximum in seconds of so many alerts, and what was promised."""
    with sinking() as sink, running(MONITORING_ALLOW_PRIVATE_WEBHOOKS="true", MONITORING_COLLECTORS="none") as product:
        _call(product, "channels", {"name": "sink", "kind": "webhook",
                                    "config": {"url": sink.url, "rate_per_minute": 6000}})  # fmt: skip
        _call(product, "rules", {
            "name": "Cases", "kind": "logs", "query": "level:error", "window": "1h", "group_by": ["case"],
            "threshold": 1, "interval": f"{interval_seconds}s", "channels": ["sink"],
        })  # fmt: skip
        taken = sorted(_once(product, sink, f"c{number}", interval_seconds) for number in range(repeats))
    return {
        "repeats": repeats, "interval_seconds": interval_seconds,
        "median_seconds": round(statistics.median(taken), 2),
        "p95_seconds": round(taken[min(len(taken) - 1, int(len(taken) * 0.95))], 2),
        "max_seconds": round(taken[-1], 2), "promised_seconds": PROMISED_SECONDS + interval_seconds,
    }  # fmt: skip


def _once(product: Product, sink: Sink, case: str, interval_seconds: int) -> float:
    time.sleep(random.random() * interval_seconds)
    _call(product, "logs", [{"message": "it broke", "level": "error", "case": case}])
    began, seen = time.perf_counter(), 0
    while True:
        for request in sink.received[seen:]:
            seen += 1
            if any(each["alert"]["labels"].get("case") == case for each in request.json["notices"]):
                return time.perf_counter() - began
        if time.perf_counter() - began > 10 * (PROMISED_SECONDS + interval_seconds):
            raise TimeoutError(f"nobody was told of {case}")
        time.sleep(0.01)


def _call(product: Product, path: str, body: Any) -> None:
    key = (product.data / "admin.key").read_text().strip()
    request = urllib.request.Request(
        f"http://127.0.0.1:{product.port}/api/v1/{path}", json.dumps(body).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()
