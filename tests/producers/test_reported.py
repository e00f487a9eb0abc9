"""What a record of ours tells is published once, though frameworks and servers log it again; all else is published."""

from __future__ import annotations

import logging

import pytest

from monitoring.producers.reported import job_reported, mark
from monitoring.producers.testing import capture

SERVERS = ["uvicorn.error", "gunicorn.error", "hypercorn.error", "waitress"]


def boom() -> ValueError:
    try:
        raise ValueError("boom")
    except ValueError as error:
        return error


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_does_not_tell_an_exception_again_that_is_in_a_record(name, caplog):
    error = boom()
    mark(error)
    with capture() as captured:
        logging.getLogger(name).error("Exception in ASGI application", exc_info=error)
        logging.getLogger(name).error("another", exc_info=boom())
        logging.getLogger(name).error("no exception")
    assert captured.messages == ["another", "no exception"]
    assert "Exception in ASGI application" in caplog.text  # other handlers have it as ever


def test_an_applications_own_lines_about_it_are_published():
    error = boom()
    mark(error)
    with capture() as captured:
        logging.getLogger("shop").error("order failed", exc_info=error)
    assert captured.one("order failed").exception is not None


def test_code_that_is_named_does_not_tell_it_again():
    error = boom()
    mark(error, __file__)
    with capture() as captured:
        logging.getLogger("shop").error("order failed", exc_info=error)
    assert captured.events == []


def test_an_exception_that_takes_no_attributes_is_told_twice():
    class Slotted(Exception):
        __slots__ = ()

        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    error = Slotted()
    mark(error)
    with capture() as captured:
        logging.getLogger("uvicorn.error").error("told", exc_info=error)
    assert captured.messages == ["told"]


def test_a_jobs_failure_that_is_in_a_record_is_not_told_again_by_the_worker():
    job_reported("7")
    with capture() as captured:
        worker = logging.getLogger("rq.worker")
        worker.error("exception raised while executing", extra={"job_id": "7"})
        worker.error("exception raised while executing", extra={"job_id": "8"})
        worker.error("cannot connect")
    assert [event.attributes for event in captured.events] == [{"job_id": "8"}, {}]
