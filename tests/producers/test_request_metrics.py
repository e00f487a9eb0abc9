"""The same requests are counted by route: how many, how long, how large, and how many at this moment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from monitoring.producers.metrics import REGISTRY
from monitoring.producers.request_metrics import in_flight, prepare
from monitoring.producers.request_policy import Policy
from monitoring.producers.testing import capture
from tests.producers.test_request_policy import Plain

ROOT = Path(__file__).parents[2]


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
    prepare()
    before = len(in_flight)  # of requests that another test has left half way
    requests = [Plain(Policy(), "GET", "/", "", "", "") for _ in range(3)]
    assert gathered()["http_server_active_requests", text()] == before + 3
    for request in requests:
        request.end(200, 0)
        request.end(200, 0)
    assert gathered()["http_server_active_requests", text()] == before


def test_a_forked_child_serves_none_of_its_parents_requests():
    prepare()
    request = Plain(Policy(), "GET", "/", "", "", "")
    child = os.fork()
    if child == 0:
        os._exit(len(in_flight))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert id(request) in in_flight
    request.end(200, 0)


def test_an_application_that_has_a_metric_of_such_a_name_keeps_it_and_its_records():
    script = (
        "from monitoring.producers import metrics\n"
        "metrics.counter('http_server_request_duration_seconds', labels=('own',))\n"
        "from monitoring.producers.testing import capture\n"
        "from monitoring.producers.wsgi import MonitoringWSGI\n"
        "from tests.producers.wsgi_call import Answer, answer\n"
        "with capture() as captured:\n"
        "    Answer(MonitoringWSGI(answer)).read()\n"
        "print(captured.messages)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "['answering', 'GET / 200']\n"
    assert done.stderr.startswith("monitoring: requests will not be counted: ValueError")


def text(**labels: str) -> str:
    """Labels as the wire has them."""
    return orjson.dumps(labels).decode()


def sum_of(value: Any) -> int:
    """How many values a histogram's delta holds."""
    return int(sum(value["counts"]))
