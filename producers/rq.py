"""RQ jobs: the ids of who enqueues travel in the job's meta, and the job runs within them and is recorded.

    Job.create, Queue.create_job -> meta["monitoring"] = {"request_id", "traceparent", "tracestate", "retries"}
    Job.perform -> request and trace as in meta, a span of its own; `job_id` and `job` bound; one event
    Worker.handle_job_failure -> an event for a job whose process did not live to tell

The event, of logger `monitoring.job`, has `job_id`, `job` (the function), `queue`, `outcome` (finished, retried,
failed, killed, stopped), `duration_ms`, `waited_ms` (from the queue to the start), `attempt` (from 1), the exception.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from types import ModuleType
from typing import Any

from monitoring.producers.client import active
from monitoring.producers.logger import get_logger
from monitoring.producers.patches import replace_method
from monitoring.producers.reported import job_reported, was_job_reported
from monitoring.producers.work import Work, bug, carried

__all__ = ["META_KEY", "patch"]

META_KEY = "monitoring"
_IDS = ("request_id", "traceparent", "tracestate")
_WELL = frozenset({"finished", "retried"})
_log = get_logger("monitoring.job")


def patch(module: ModuleType) -> None:
    """Stand in front of RQ's methods; `module` is the package `rq`."""
    job = module.job.Job
    replace_method(job, "create", _creating)
    replace_method(module.Queue, "create_job", _queueing)
    replace_method(job, "perform", _performing)
    for base in module.Worker.__mro__:
        replace_method(base, "handle_job_failure", _failing)


def _creating(create: Any) -> Any:
    """`Job.create`, a class method: who enqueues is who creates."""
    function: Callable[..., Any] = create.__func__

    @functools.wraps(function)
    def creating(cls: type, *args: Any, **kwargs: Any) -> Any:
        job = function(cls, *args, **kwargs)
        try:
            _leave_ids(job)
        except Exception as error:
            bug("a job's ids could not be kept", error)
        return job

    return classmethod(creating)


def _leave_ids(job: Any) -> None:
    _keep(job, carried())


def _queueing(create: Callable[..., Any]) -> Callable[..., Any]:
    """`Queue.create_job`, which says how often a job may be tried once it is created."""

    @functools.wraps(create)
    def queueing(self: Any, *args: Any, **kwargs: Any) -> Any:
        job = create(self, *args, **kwargs)
        try:
            if job.retries_left:
                _keep(job, {"retries": job.retries_left})
        except Exception as error:
            bug("a job's retries could not be kept", error)
        return job

    return queueing


def _keep(job: Any, more: Mapping[str, Any]) -> None:
    if more:
        known = job.meta.get(META_KEY)
        kept = {**known, **more} if isinstance(known, dict) else {**more}
        job.meta = {**job.meta, META_KEY: kept}  # another dict: the caller's may be that of many jobs


def _performing(perform: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(perform)
    def performing(self: Any) -> Any:
        try:
            run = _Run(self)
        except Exception as error:
            bug("a job could not be looked at", error)
            return perform(self)
        job_reported("")
        token = run.enter()
        try:
            result = perform(self)
        except BaseException as error:
            run.end("failed", error)
            raise
        else:
            run.end("retried" if type(result).__name__ == "Retry" else "finished", None)
            return result
        finally:
            run.leave(token)
            run.forget()

    return performing


class _Run(Work):
    """One run of a job."""

    __slots__ = ("_began", "_job", "_kept")

    def __init__(self, job: Any) -> None:
        kept = job.meta.get(META_KEY) if isinstance(job.meta, dict) else None
        self._kept: dict[str, Any] = kept if isinstance(kept, dict) else {}
        self._job = job
        request_id, traceparent, tracestate = (str(self._kept.get(name, "")) for name in _IDS)
        super().__init__(request_id, traceparent, tracestate, {"job_id": job.id, "job": _function(job)})
        self._began = time.perf_counter()

    def end(self, outcome: str, error: BaseException | None) -> None:
        """Record it. Best effort: the job's own outcome must not change."""
        try:
            fields = _facts(self._job, outcome)
            fields["duration_ms"] = round((time.perf_counter() - self._began) * 1000, 3)
            fields |= self._attempt()
            if error is not None:
                fields["exc_info"] = error
            if self.user:
                fields["user"] = self.user
            _write(self._job, outcome, fields)
        except Exception as trouble:
            bug("a job could not be recorded", trouble)

    def _attempt(self) -> dict[str, Any]:
        left, again = self._job.retries_left, self._job.number_of_retries or 0
        retries = self._kept.get("retries", 0 if left is None else None)
        return {} if retries is None else {"attempt": retries - (left or 0) + again + 1}


def _failing(handle: Callable[..., Any]) -> Callable[..., Any]:
    """`Worker.handle_job_failure`, in the worker itself: its work-horse was killed, or never came to the job."""

    @functools.wraps(handle)
    def failing(self: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            if active() is not None and not was_job_reported(job.id):
                outcome = "stopped" if self._stopped_job_id == job.id else "failed" if self.is_horse else "killed"
                _record_end(job, outcome, kwargs.get("exc_string") or next(filter(_is_text, args), ""))
        except Exception as error:
            bug("a job could not be recorded", error)
        return handle(self, job, *args, **kwargs)

    return failing


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _record_end(job: Any, outcome: str, reason: str) -> None:
    run = _Run(job)
    token = run.enter()
    try:
        fields = {**_facts(job, outcome), "reason": reason[-4096:]}
        if job.started_at is not None:
            fields["duration_ms"] = _milliseconds(job.started_at, datetime.now(job.started_at.tzinfo))
        _write(job, outcome, fields)
    finally:
        run.leave(token)
        run.forget()


def _write(job: Any, outcome: str, fields: dict[str, Any]) -> None:
    if active() is None:
        return
    if outcome == "failed":
        job_reported(job.id)
    write = _log.info if outcome in _WELL else _log.warning if outcome == "stopped" else _log.error
    write(f"{_function(job)} {outcome}", **fields)


def _facts(job: Any, outcome: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"job_id": job.id, "job": _function(job), "queue": job.origin, "outcome": outcome}
    if job.enqueued_at is not None and job.started_at is not None:
        fields["waited_ms"] = _milliseconds(job.enqueued_at, job.started_at)
    return fields


def _milliseconds(since: datetime, until: datetime) -> float:
    return round((until - since).total_seconds() * 1000, 3)


def _function(job: Any) -> str:
    try:
        return str(job.func_name)
    except Exception:  # what cannot be deserialized here has no name
        return "(unreadable)"
