"""`/api/v1/maintenance/…`: retention's next turn now, and purging events for good."""

from __future__ import annotations

from monitoring.api.asking import END, START, deadline
from monitoring.api.params import Fields, Flag, Text
from monitoring.api.problems import Problem
from monitoring.api.routes import Answer, Call, Route
from monitoring.pipeline import jobs
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.store import retention as policy
from monitoring.pipeline.store import service_ages
from monitoring.pipeline.store.logs import days_due, refuse_purge
from monitoring.pipeline.store.purge import Wanted, survey
from monitoring.pipeline.store.purges import Purges

__all__ = ["ROUTES", "purge", "purges", "retention"]


RETENTION = Fields(Flag("dry_run", "only say what would go", default=False), optional=True)


def retention(call: Call) -> Answer:
    """Which segments are due, or what of them, and why; unless `dry_run`, the job that deletes them is enqueued."""
    dry_run = RETENTION.read()["dry_run"]
    catalog, chosen, now_ns = call.runtime.catalog, call.runtime.settings, call.runtime.now_ns()
    going = policy.due(catalog, chosen, now_ns=now_ns)
    ages = chosen.ages("retention_services")
    outlived = service_ages.due(catalog, ages, now_ns=now_ns, going=[item.segment for item in going])
    found = [item.describe() for item in going] + [item.describe() for item in outlived]
    found += [item.describe() for item in days_due(call.runtime.store, chosen, now_ns=now_ns)]
    if dry_run:
        call.unchanged()
    else:
        jobs.enqueue(call.runtime.queue, jobs.MAINTENANCE)
    return {"segments": found, "dry_run": dry_run, "enqueued": not dry_run}, 200 if dry_run else 202


PURGE = Fields(
    Text("query", "in the search language; empty: everything", required=True),
    Text("start", "a time, included", longest=64),
    Text("end", "a time, excluded", longest=64),
    Flag("dry_run", "only say how many would go", default=False),
)


def purge(call: Call) -> Answer:
    """Take the events that match out of all segments, for good: a job does it, `GET` of this address says how far.

    With `dry_run`, how many there are now.
    """
    body, runtime = PURGE.read(), call.runtime
    try:
        refuse_purge(runtime.settings)
    except PermanentError as error:
        raise Problem(409, str(error)) from None
    now_ns = runtime.now_ns()
    wanted = Wanted(
        body["query"],
        START.at(body["start"], now_ns) if body["start"] else EARLIEST,
        END.at(body["end"], now_ns) if body["end"] else LATEST,
    )
    wanted.node()  # an error of syntax is the asker's, now
    if body["dry_run"]:
        call.unchanged()
        with runtime.gate.entered():
            found = survey(runtime.catalog, runtime.reader, wanted, deadline=deadline(runtime))
        return {**found.document(), "dry_run": True}
    request = Purges(runtime.control, now_ns=runtime.now_ns).add(wanted, call.caller.label if call.caller else "")
    call.changed(f"purge {request.id}")  # its answer holds no query, which may be what has to go
    jobs.enqueue(runtime.queue, jobs.MAINTENANCE)
    return request.describe(), 202


def purges(call: Call) -> Answer:
    """The purges that were asked for, the newest first: who asked, how far they are, how many events went."""
    return {"purges": [request.describe() for request in Purges(call.runtime.control).all()]}


ROUTES = (
    Route(
        "POST",
        "/api/v1/maintenance/retention",
        "admin",
        retention,
        audit="retention.run",
        body=RETENTION,
    ),
    Route("POST", "/api/v1/maintenance/purge", "admin", purge, audit="purge.begin", body=PURGE),
    Route("GET", "/api/v1/maintenance/purge", "admin", purges),
)
