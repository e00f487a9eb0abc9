"""RQ's work-horses end by `os._exit`: what a job has logged is sent first, and the horse is held up by that alone."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.producers.survival.support import attributes, run

JOBS = """
import logging, os
from monitoring import get_logger

def job(number):
    get_logger("job").info("structured", number=number, pid=os.getpid())
    logging.getLogger("job").warning("standard", extra={"number": number, "pid": os.getpid()})
    if number == 3:
        raise ValueError("the fourth fails")
    return number
"""

WORKER = """
import sys, logging, redis, rq
from monitoring.startup import start_monitoring_with_config
start_monitoring_with_config()
import jobs
connection = redis.Redis.from_url(sys.argv[1])
queue = rq.Queue("q", connection=connection)
for number in range(8):
    queue.enqueue(jobs.job, number)
worker = getattr(rq, sys.argv[2])([queue], connection=connection)
worker.work(burst=True, logging_level="WARNING")
"""


@pytest.mark.parametrize("worker", ["Worker", "SimpleWorker", "SpawnWorker"])
def test_what_jobs_log_arrives_once(bus, tmp_path, worker):
    (tmp_path / "jobs.py").write_text(JOBS if worker != "SpawnWorker" else JOBS + STARTED)
    done = run(WORKER, bus.url, tmp_path, bus.url, worker)
    assert done.status == 0, done.errors
    said = [(event.message, attributes(event)) for event in bus.events() if event.logger == "job"]
    assert Counter((text, fields["number"]) for text, fields in said) == Counter(
        (text, number) for text in ("structured", "standard") for number in range(8)
    )
    assert len({fields["pid"] for _, fields in said}) == (1 if worker == "SimpleWorker" else 8)
    assert not [report for report in bus.reports().values() if not report["closed"]]


STARTED = """
from monitoring.startup import start_monitoring_with_config
start_monitoring_with_config()
"""
