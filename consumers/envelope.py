"""What is believed of a job that comes out of a queue: the name of its function, and only if we allow it.

Whoever can write to the bus can write a job. RQ would unpickle it, import and call what it names, run its
callbacks, send its webhooks, wait for its dependencies and repeat it. Here a job is an envelope with one of
our own names on it; anything else in it makes it a forgery, which is refused as a whole.
"""

from __future__ import annotations

import importlib
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import redis
from rq.job import Job
from rq.serializers import JSONSerializer

from monitoring.pipeline import jobs
from monitoring.pipeline.bus.streams import exchange
from monitoring.pipeline.errors import BusRefused, PermanentError
from monitoring.pipeline.settings import Settings

__all__ = ["AllowedJob", "Forged", "JobFunction", "claim", "name_in", "resolve"]

JobFunction = Callable[[Settings], Any]

_JOB_ID = re.compile(rb"[A-Za-z0-9_-]{1,100}")
_MOST_FIELDS = 64
_MOST_BYTES = 4096
"""Our own jobs have 19 fields and 90 bytes of data."""
_NEVER_OURS = (
    b"success_callback_name",
    b"failure_callback_name",
    b"stopped_callback_name",
    b"webhooks",
    b"dependency_id",
    b"dependency_ids",
    b"retries_left",
    b"retry_intervals",
    b"repeats_left",
    b"repeat_intervals",
    b"rate_limit_key",
    b"group_id",
    b"meta",
    b"result",
)
"""Fields with which RQ would do more than call the function; RQ itself writes some of them empty."""


class Forged(PermanentError):
    """A job that we did not enqueue; the message is the reason."""


def name_in(fields: Mapping[bytes, bytes], queue: str, allowed: Mapping[str, str]) -> str:
    """The function that a job's hash names. `allowed` maps each function to its queue. Raises Forged."""
    for field in _NEVER_OURS:
        if fields.get(field):
            raise Forged(f"it carries {field.decode()}")
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(fields[b"data"], _MOST_BYTES)
        if not unpacker.eof:
            raise Forged("its data is too long or cut off")
        body = orjson.loads(data)
    except (KeyError, zlib.error, orjson.JSONDecodeError) as error:
        raise Forged(f"its data is not compressed JSON ({type(error).__name__})") from error
    if not isinstance(body, list) or len(body) != 4 or body[1:] != [None, [], {}]:
        raise Forged("its data is more than the name of a function")
    name = body[0]
    if not isinstance(name, str) or allowed.get(name) != queue:
        raise Forged(f"{str(name)[:100]!r} may not run from the queue {queue}")
    return name


def resolve(name: str, allowed: Mapping[str, str]) -> JobFunction:
    """The function of an allowed name. Raises Forged for any other."""
    if name not in allowed:
        raise Forged(f"{name[:100]!r} is not a job")
    module, _, function = name.rpartition(".")
    found: JobFunction = getattr(importlib.import_module(module), function)
    return found


def claim(client: redis.Redis, job_id: bytes, queue: str, allowed: Mapping[str, str]) -> str | None:
    """Take a job that was popped from a queue off the bus, and the function it names.

    None where there is no such job any more. Raises Forged; the job is removed in any case. From here on
    nothing on the bus tells of the job: if its worker dies, the ticker sees that the work is not being done.
    """
    key = b"rq:job:" + job_id
    try:
        fields = _read(client, job_id, key)
        return name_in(fields, queue, allowed) if fields else None
    finally:
        exchange(lambda: client.unlink(key, key + b":dependents"))


def _read(client: redis.Redis, job_id: bytes, key: bytes) -> dict[bytes, bytes]:
    if not _JOB_ID.fullmatch(job_id):
        raise Forged("its id is malformed")

    def sizes() -> list[int]:
        pipe = client.pipeline(transaction=False)
        pipe.hlen(key)
        pipe.hstrlen(key, "data")
        return pipe.execute()

    try:
        field_count, data_bytes = exchange(sizes)
        if field_count > _MOST_FIELDS or data_bytes > _MOST_BYTES:
            raise Forged(f"it is too large: {field_count} fields, {data_bytes} bytes of data")
        found: dict[bytes, bytes] = exchange(lambda: client.hgetall(key))
    except BusRefused as error:
        raise Forged(f"it is not a hash ({error})") from error
    return found


class AllowedJob(Job):  # type: ignore[misc]  # mypy skips RQ, whose annotations are not strict
    """RQ's Job, reduced to an allowed function: nothing that Redis holds can make it do more."""

    allowed: Mapping[str, str] = jobs.ALLOWED
    """Each function that may run, with its queue."""
    settings: Settings | None = None
    """What the function is called with."""

    def restore(self, raw_data: Mapping[bytes, bytes]) -> None:
        """Believe the function's name and nothing else. Raises Forged."""
        queue = raw_data.get(b"origin", b"").decode("utf-8", "replace")
        name = name_in(raw_data, queue, self.allowed)
        super().restore({"data": zlib.compress(orjson.dumps([name, None, [], {}])), "origin": queue.encode()})

    @property
    def func(self) -> JobFunction:
        """The function, through the allow-list. Raises Forged."""
        return resolve(str(self.func_name), self.allowed)

    def _execute(self) -> Any:
        if self.settings is None:
            raise Forged("it was not made by a worker")
        return self.func(self.settings)

    @classmethod
    def of(cls, name: str, client: redis.Redis, allowed: Mapping[str, str], chosen: Settings) -> AllowedJob:
        """A job for a function of ours, ready to be performed."""
        job = cls(connection=client, serializer=JSONSerializer)
        job.func_name, job.allowed, job.settings = name, allowed, chosen
        return job
