"""What a record of ours tells already, and the framework's or server's logger tells once more.

An exception that nobody handled is in the record of its request; the framework logs it as well, and then the server.
Their lines are left out of what is published, and stay where they always were: on the console, in the server's files.
The same holds for a server's access log once requests are recorded here.
"""

from __future__ import annotations

import logging
from contextlib import suppress

__all__ = ["TELLERS", "expect_access_lines", "is_reported", "job_reported", "mark", "was_job_reported"]

_MARK = "__monitoring_reported__"
_SERVERS = frozenset({"uvicorn.error", "gunicorn.error", "hypercorn.error", "waitress", "daphne.http_protocol"})
"""Loggers by which servers report an exception that an application let through."""
_ACCESS = frozenset({"uvicorn.access", "gunicorn.access", "hypercorn.access"})
TELLERS = _ACCESS | {"werkzeug", "rq.worker"}
"""Loggers that tell things again without an exception in the record."""
_WERKZEUG_LINE = '"%s" %s %s'
"""How the message of an access line ends at werkzeug's development server, which has one logger for all."""

_expected = False
_jobs: list[str] = []


def mark(error: BaseException, *files: str) -> None:
    """This exception is in a record of ours. `files` are source files that will log it again, beside the servers."""
    with suppress(AttributeError, TypeError):  # an exception that takes no attributes is told twice
        setattr(error, _MARK, files)


def expect_access_lines() -> None:
    """Requests are recorded in this process from now on: a server's access lines would tell them twice."""
    global _expected
    _expected = True


def job_reported(job_id: str) -> None:
    """The failure of this job is in a record of ours; a process runs one after the other."""
    _jobs[:] = [job_id]


def was_job_reported(job_id: str) -> bool:
    """Whether `job_reported` was called for it, in this process and last."""
    return job_id in _jobs


def is_reported(record: logging.LogRecord) -> bool:
    """Whether the record says what a record of ours has said."""
    if record.exc_info and (error := record.exc_info[1]) is not None:
        files = getattr(error, _MARK, None)
        if files is not None and (record.name in _SERVERS or record.pathname in files):
            return True
    name = record.name
    if name not in TELLERS:
        return False
    if name in _ACCESS:
        return _expected
    if name == "werkzeug":
        return _expected and type(record.msg) is str and record.msg.endswith(_WERKZEUG_LINE)
    return name == "rq.worker" and record.levelno >= logging.ERROR and getattr(record, "job_id", None) in _jobs
