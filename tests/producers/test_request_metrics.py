"""The same requests are counted by route: how many, how long, how large, and how many at this moment."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from monitoring.producers import request_metrics
from monitoring.producers.metrics import REGISTRY
from monitoring.producers.request_policy import Policy
from monitoring.producers.testing import capture
from tests.producers.test_request_policy import Plain


@pytest.fixture(autouse=True)
def _from_nothing() -> None:
    REGISTRY.collect(1).committed()


def gathered() -> dict[tuple[str, str], Any]:
    """What the metrics gained since: by name and labels."""
    with REGISTRY.collect(1) as collected:
        rows = [(orjson.loads(row.family), row.labels, orjson.loads(row.value)) for row in collected.rows]
        collected.committed()
    return {(family["name"], labels): value for family, labels, value in rows if "http_server" in family["name"]}


def ask(method: str, path: str, status: int, sent: int = 0, received: int = 0, **policy: Any) -> None:
    """A request from beginning to end."""
    request = Plain(Policy(**policy), method, path, "", "", "")
    request.request_bytes = received
    request.end(status, sent)


def test_requests_are_counted_by_method_route_and_status():
    for _ in range(3):
        ask("POST", "/orders/{id}", 201, sent=10, received=100)
    ask("POST", "/orders/{id}", 500)
    ask("BREW", "/pot", 418)
    found = gathered()
    durations = {labels: value for (name, labels), value in found.items() if name.endswith("duration_seconds")}
    assert {(labels, sum_of(value)) for labels, value in durations.items()} == {
        (text(method="POST", route="/orders/{id}", status="201"), 3),
        (text(method="POST", route="/orders/{id}", status="500"), 1),
        (text(method="OTHER", route="/pot", status="418"), 1),
    }
    assert found["http_server_request_bytes", text(method="POST", route="/orders/{id}")] == 300
    assert found["http_server_response_bytes", text(method="POST", route="/orders/{id}")] == 30


def test_what_is_left_out_of_the_log_by_chance_is_counted_and_probes_are_not():
    with capture() as captured:
        ask("GET", "/sampled", 200, sample=(("*", 0.0),))
        ask("GET", "/healthz", 200, exclude=("/healthz",))
        ask("GET", "/healthz", 500, exclude=("/healthz",))
    assert captured.messages == ["GET /healthz 500"]
    assert not [labels for _, labels in gathered() if "/healthz" in labels]


def test_requests_in_flight_go_up_and_down():
    before = request_metrics._active().value or 0  # of requests that another test has left half way
    requests = [Plain(Policy(), "GET", "/", "", "", "") for _ in range(3)]
    assert gathered()["http_server_active_requests", text()] == before + 3
    for request in requests:
        request.end(200, 0)
        request.end(200, 0)
    assert gathered()["http_server_active_requests", text()] == before


def text(**labels: str) -> str:
    """Labels as the wire has them."""
    return orjson.dumps(labels).decode()


def sum_of(value: Any) -> int:
    """How many values a histogram's delta holds."""
    return int(sum(value["counts"]))
