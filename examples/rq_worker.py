"""RQ jobs that are observed, on the Redis server of REDIS_URL (redis://127.0.0.1:6379).

python examples/rq_worker.py enqueue A-1041      a job, within ids of its own
python examples/rq_worker.py work                a worker, until it is stopped; `work --burst`: until there is nothing
"""

from __future__ import annotations

import os
import sys

from redis import Redis
from rq import Queue, Worker

from monitoring import bind, get_logger
from monitoring.startup import start_monitoring_with_config

log = get_logger("shipping")


def ship(order: str) -> str:
    """The job: its lines carry the request id of who enqueued it."""
    if not order.startswith("A-"):
        raise ValueError(f"{order} is not an order")
    log.info("shipped", order=order)
    return order


def main(what: str, *arguments: str) -> None:
    """Enqueue, or work."""
    start_monitoring_with_config(service="shipping")
    connection = Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"))
    queue = Queue("orders", connection=connection)
    if what == "enqueue":
        bind(request_id=f"order-{arguments[0]}")  # within a request the middleware has done this
        job = queue.enqueue("rq_worker.ship", arguments[0])
        log.info("enqueued", order=arguments[0], job_id=job.id)
    else:
        Worker([queue], connection=connection).work(burst="--burst" in arguments)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in ("enqueue", "work"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
