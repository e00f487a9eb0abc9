"""`/api/v1/maintenance/retention`: delete now what retention would delete at its next turn."""

from __future__ import annotations

from monitoring.api.params import Fields, Flag
from monitoring.api.routes import Answer, Call, Route
from monitoring.pipeline import jobs
from monitoring.pipeline.store import retention as policy

__all__ = ["ROUTES", "retention"]


RETENTION = Fields(Flag("dry_run", "only say what would go", default=False), optional=True)


def retention(call: Call) -> Answer:
    """Which segments are due, and why; unless `dry_run`, the job that deletes them is enqueued."""
    dry_run = RETENTION.read()["dry_run"]
    going = policy.due(call.runtime.catalog, call.runtime.settings, now_ns=call.runtime.now_ns())
    found = [item.describe() for item in going]
    if dry_run:
        call.unchanged()
    else:
        jobs.enqueue(call.runtime.bus, jobs.MAINTENANCE)
    return {"segments": found, "dry_run": dry_run, "enqueued": not dry_run}, 200 if dry_run else 202


ROUTES = (
    Route(
        "POST",
        "/api/v1/maintenance/retention",
        "admin",
        retention,
        audit="retention.run",
        body=RETENTION,
    ),
)
