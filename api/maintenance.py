"""`/api/v1/maintenance/retention`: delete now what retention would delete at its next turn."""

from __future__ import annotations

from monitoring.api.keys import json_object
from monitoring.api.problems import Problem
from monitoring.api.routes import Answer, Call
from monitoring.pipeline import jobs
from monitoring.pipeline.store import retention as policy

__all__ = ["retention"]


def retention(call: Call) -> Answer:
    """Which segments are due, and why; unless `dry_run`, the job that deletes them is enqueued."""
    dry_run = json_object(("dry_run",), required=False).get("dry_run", False)
    if not isinstance(dry_run, bool):
        raise Problem(400, "not true or false", field="dry_run", fix="true, or leave it out")
    going = policy.due(call.runtime.catalog, call.runtime.settings, now_ns=call.runtime.now_ns())
    found = [item.describe() for item in going]
    if dry_run:
        call.unchanged()
    else:
        jobs.enqueue(call.runtime.bus, jobs.MAINTENANCE)
    return {"segments": found, "dry_run": dry_run, "enqueued": not dry_run}, 200 if dry_run else 202
