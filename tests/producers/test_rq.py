"""RQ jobs belong to the request that enqueued them, and have one record each, on a real server and worker."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
from flask import Flask
from rq import Queue, Retry, SimpleWorker, Worker
from rq.command import send_stop_job_command
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from monitoring import get_logger
from monitoring.pipeline.bus.streams import Streams, connect
from monitoring.pipeline.events.event import Event
from monitoring.producers.flask import FlaskMonitoring
from monitoring.producers.propagate import instrument, uninstrument
from monitoring.producers.rq import META_KEY
from monitoring.producers.testing import Capture, capture
from monitoring.producers.work import Work
from monitoring.startup import start_monitoring_with_config, stop_monitoring
from tests.producers import jobs
from tests.producers.support import TRACE, TRACEPARENT, records, serving_wsgi, wait_for
from tests.producers.test_propagate import Called
from tests.producers.test_sdk import deltas_on, events_on

ROOT = Path(__file__).parents[2]


@pytest.fixture
def captured() -> Iterator[Capture]:
    instrument()
    with capture() as found:
        yield found
    uninstrument()


@pytest.fixture
def connection(valkey: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey) as client:
        yield client


@pytest.fixture
def queue(connection: redis.Redis) -> Queue:
    return Queue("default", connection=connection)


@contextlib.contextmanager
def request(name: str = "order-7") -> Iterator[Work]:
    """Within a request."""
    work = Work(name, TRACEPARENT, "vendor=1")
    token = work.enter()
    try:
        yield work
    finally:
        work.leave(token)


def run(queue: Queue, kind: Callable[..., Any] = SimpleWorker, **options: Any) -> None:
    """Work until the queue is empty."""
    kind([queue], connection=queue.connection, **options).work(burst=True, logging_level="WARNING")


def test_a_job_is_of_the_request_that_enqueued_it_and_has_one_record(captured, queue):
    with request() as work:
        job = queue.enqueue(jobs.greet, "ann")
    run(queue)
    line, (record,) = captured.one("greeted"), records(captured, logger="monitoring.job")
    assert (record.message, record.level) == ("tests.producers.jobs.greet finished", "INFO")
    facts = dict(record.attributes)
    assert facts.pop("duration_ms") > 0
    assert facts.pop("waited_ms") > 0
    assert facts == {
        "job_id": job.id,
        "job": "tests.producers.jobs.greet",
        "queue": "default",
        "outcome": "finished",
        "attempt": 1,
    }
    assert (record.request_id, record.trace_id) == ("order-7", TRACE)
    assert record.span_id not in ("", work.ids[2])
    assert (line.request_id, line.trace_id, line.span_id) == (record.request_id, record.trace_id, record.span_id)
    assert line.attributes == {"name": "ann", "job_id": job.id, "job": "tests.producers.jobs.greet"}


def test_a_coroutine_runs_within_its_job(captured, queue):
    with request():
        queue.enqueue(jobs.greet_later, "ann")
    run(queue)
    assert captured.one("greeted later").request_id == "order-7"


def test_after_the_job_nothing_is_bound(captured, queue):
    with request():
        queue.enqueue(jobs.greet, "ann")
    run(queue)
    get_logger("jobs").info("later")
    later = captured.one("later")
    assert (later.request_id, later.attributes) == ("", {})


def test_a_job_enqueued_outside_of_a_request_has_ids_of_its_own(captured, queue):
    job = queue.enqueue(jobs.greet, "ann")
    assert job.meta == {}
    run(queue)
    (record,) = records(captured, logger="monitoring.job")
    assert record.request_id
    assert record.trace_id == captured.one("greeted").trace_id != ""


def test_a_job_that_raises_is_an_error_with_its_context_told_once(captured, queue):
    with request():
        queue.enqueue(jobs.fail, "A-1041")
    run(queue)
    (record,) = records(captured, logger="monitoring.job")
    assert (record.message, record.level) == ("tests.producers.jobs.fail failed", "ERROR")
    assert record.exception is not None
    assert record.exception["type"] == "ValueError"
    assert (record.attributes["order"], record.attributes["user"]) == ("A-1041", "u-7")
    assert captured.find(level="ERROR") == [record]
    assert [event for event in captured.events if "no such order" in str(event)] == [record]


def test_attempts_are_counted_and_keep_the_request(captured, queue):
    with request():
        queue.enqueue(jobs.fail, "A-1041", retry=Retry(max=2))
    run(queue)
    found = records(captured, 3, logger="monitoring.job")
    assert [record.attributes["attempt"] for record in found] == [1, 2, 3]
    assert {record.request_id for record in found} == {"order-7"}
    assert len({record.span_id for record in found}) == 3


def test_a_job_that_asks_to_be_run_again_says_so(captured, queue):
    queue.enqueue(jobs.again)
    run(queue)
    found = records(captured, 4, logger="monitoring.job")
    assert {record.attributes["outcome"] for record in found} == {"retried"}
    assert [record.attributes["attempt"] for record in found] == [1, 2, 3, 4]


def test_a_job_enqueued_by_a_job_belongs_to_the_same_trace(captured, queue):
    with request():
        queue.enqueue(jobs.hand_on, "ann")
    run(queue)
    first, second = records(captured, 2, logger="monitoring.job")
    assert (first.request_id, first.trace_id) == (second.request_id, second.trace_id) == ("order-7", TRACE)
    assert first.span_id != second.span_id


def test_what_the_application_keeps_in_meta_stays_and_its_dict_is_not_changed(captured, queue):
    meta = {"mine": 1}
    with request() as work:
        job = queue.enqueue(jobs.greet, "ann", meta=meta)
    assert meta == {"mine": 1}
    request_id, trace_id, span_id = work.ids
    assert Job.fetch(job.id, connection=queue.connection).meta == {
        "mine": 1,
        META_KEY: {
            "request_id": request_id,
            "traceparent": f"00-{trace_id}-{span_id}-01",
            "tracestate": "vendor=1",
        },
    }


def test_jobs_of_many_at_once_and_of_the_json_serializer_carry_ids_too(captured, connection):
    queue = Queue("default", connection=connection, serializer=JSONSerializer)
    with request():
        queue.enqueue_many([Queue.prepare_data(jobs.greet, ("ann",)), Queue.prepare_data(jobs.greet, ("bob",))])
    run(queue, serializer=JSONSerializer)
    assert {record.request_id for record in records(captured, 2, logger="monitoring.job")} == {"order-7"}


@pytest.mark.parametrize("meta", [{META_KEY: "x"}, {META_KEY: {"request_id": ["a"], "traceparent": 7}}, {META_KEY: {}}])
def test_meta_that_somebody_else_wrote_does_no_harm(captured, queue, meta):
    job = queue.enqueue(jobs.greet, "ann", meta=meta)
    run(queue)
    assert job.get_status(refresh=True).value == "finished"
    records(captured, logger="monitoring.job")


def test_a_queue_that_runs_at_once_gives_the_request_back(captured, connection):
    queue = Queue("default", is_async=False, connection=connection)
    with request() as work:
        queue.enqueue(jobs.greet, "ann")
        get_logger("jobs").info("back")
    back = captured.one("back")
    assert (back.request_id, back.span_id) == (work.ids[0], work.ids[2])
    assert back.attributes == {}
    assert records(captured, logger="monitoring.job")[0].span_id != work.ids[2]


def test_a_job_whose_process_is_killed_is_recorded_by_its_worker(captured, queue):
    with request():
        queue.enqueue(jobs.die)
    run(queue, Worker)
    (record,) = records(captured, logger="monitoring.job")
    assert (record.message, record.level) == ("tests.producers.jobs.die killed", "ERROR")
    assert "signal 9" in record.attributes["reason"]
    assert (record.request_id, record.trace_id) == ("order-7", TRACE)
    assert record.attributes["duration_ms"] > 0


def test_a_job_that_takes_too_long_is_a_failure(captured, queue):
    queue.enqueue(jobs.sleep, job_timeout=1)
    run(queue)
    (record,) = records(captured, logger="monitoring.job")
    assert record.exception is not None
    assert record.exception["type"].endswith("JobTimeoutException")
    assert captured.one("out of time").request_id == record.request_id


def test_a_job_that_somebody_stops_is_recorded_by_its_worker(captured, queue):
    with request():
        job = queue.enqueue(jobs.sleep)

    def stop() -> None:
        wait_for(lambda: job.get_status(refresh=True) == JobStatus.STARTED)
        send_stop_job_command(queue.connection, job.id)

    stopping = threading.Thread(target=stop)
    stopping.start()
    run(queue, Worker)
    stopping.join()
    (record,) = records(captured, logger="monitoring.job")
    assert (record.message, record.level) == ("tests.producers.jobs.sleep stopped", "WARNING")
    assert record.request_id == "order-7"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_job_that_does_nothing_but_log_is_out_of_time_too(captured, queue):
    """RQ raises its timeout wherever the job is just then, which may be within a log call: it must not stay there.

    Once in a while it comes in a callback of the garbage collector (hypothesis has one), and stays there: so, two jobs.
    """
    for _ in range(2):
        queue.enqueue(jobs.chatter, job_timeout=1)
    run(queue)
    found = [record.exception for record in records(captured, 2, logger="monitoring.job") if record.exception]
    assert found
    assert {exception["type"] for exception in found} == {"rq.timeouts.JobTimeoutException"}


def test_the_chain_from_request_to_job_to_another_service_is_one_trace(valkey, queue, monkeypatch, tmp_path):
    """Everything real: a request, a forking worker whose horses end by os._exit, an outgoing request, the bus."""
    Streams(connect(valkey)).announce({"logs": 1, "metrics": 1}, "test")
    monkeypatch.setenv("MONITORING_BUS_URL", valkey)
    monkeypatch.setenv("MONITORING_DATA_DIR", str(tmp_path))
    start_monitoring_with_config(service="shop", collectors="none", console="off")
    app, called = Flask("shop"), Called()
    FlaskMonitoring(app)

    with serving_wsgi(called) as other:

        @app.post("/orders")
        def order() -> str:
            return str(queue.enqueue(jobs.call, other).id)

        app.test_client().post("/orders", headers={"X-Request-ID": "order-7", "traceparent": TRACEPARENT})
        run(queue, Worker)
    stop_monitoring()
    found = {event.logger: event for event in events_on(valkey) if event.logger.startswith("monitoring.")}
    asked, done = found["monitoring.request"], found["monitoring.job"]
    assert asked.message == "POST /orders 200"
    assert attributes(done)["outcome"] == "finished"
    assert asked.trace_id == done.trace_id == TRACE
    assert asked.request_id == done.request_id == "order-7"
    assert called.seen == [{"X-Request-ID": "order-7", "traceparent": f"00-{TRACE}-{done.span_id}-01"}]
    measured = {(name, labels) for name, _, labels, _ in deltas_on(valkey)}
    assert ("http_server_request_duration_seconds", '{"method":"POST","route":"/orders","status":"200"}') in measured


def test_the_rq_command_starts_it_by_a_settings_module(valkey, queue, tmp_path):
    Streams(connect(valkey)).announce({"logs": 1}, "test")
    (tmp_path / "worker_settings.py").write_text(
        "from monitoring.startup import start_monitoring_with_config as start\nstart(service='shipping')\n"
    )
    queue.enqueue(jobs.greet, "ann")
    command = [Path(sys.executable).with_name("rq"), "worker", "--burst", "-c", "worker_settings", "--url", valkey]
    environment = {
        "HOME": str(tmp_path),
        "PYTHONPATH": f"{ROOT}:{tmp_path}",
        "MONITORING_BUS_URL": valkey,
        "MONITORING_DATA_DIR": str(tmp_path),
        "MONITORING_COLLECTORS": "none",
    }
    done = subprocess.run([*command, "default"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = [event for event in events_on(valkey) if event.logger == "monitoring.job"]
    assert [(event.message, event.service) for event in found] == [("tests.producers.jobs.greet finished", "shipping")]


def attributes(event: Event) -> dict[str, Any]:
    """Decoded."""
    found: dict[str, Any] = orjson.loads(event.attributes)
    return found
