"""What this process publishes through: one client, made by `start`, used by loggers, handlers and middleware.

    logger, handler, middleware -> Client.log -> Publisher(logs) -> redaction -> frames
    counter, gauge, histogram   -> Registry -> Shipper -> Publisher(metrics)

Before `start` and after `stop` there is none: loggers write to the standard library's logging then, so that a library
may log through us whatever the program that uses it does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.errors import MonitoringError
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.publish.barrier import Ack
from monitoring.producers import exceptions
from monitoring.producers.context import IDS, Context, current, extended
from monitoring.producers.trouble import Trouble
from monitoring.producers.values import encode, text_of

__all__ = ["RESERVED", "Client", "Emitter", "Resource", "active", "install", "sorted_out"]

RESERVED = frozenset({*IDS, "exc_info", "stack_info"})
"""Names of fields that mean something else than an attribute."""
_new_event = tuple.__new__


class Emitter(Protocol):
    """What takes an event over: a publisher, or the list of a test."""

    def emit(self, event: Event) -> bool:
        """Whether it was taken. May raise MonitoringError where durability is `required`."""
        ...

    def flush(self, timeout_seconds: float = 5.0, ack: Ack = "store") -> bool:
        """Wait until what was emitted is so safe; whether it came to that."""
        ...

    def close(self, timeout_seconds: float = 5.0) -> bool:
        """Flush to the bus and end."""
        ...


@dataclass(frozen=True, slots=True)
class Resource:
    """Who speaks: the same for every event of the process."""

    service: str = ""
    environment: str = ""
    release: str = ""
    host: str = ""


class Client:
    """Turns what the application says into events and gives them to an emitter. Thread-safe.

    `log` snapshots everything at once; redaction, encoding and sending happen in the emitter's thread. `echo`, where
    it is set, is given each event in the caller's thread too: the console. `take` is the emitter's `emit`, for events
    that somebody else made. `redact` is for lines that are written here, beside what is published.
    """

    def __init__(
        self,
        emitter: Emitter,
        resource: Resource,
        *,
        trouble: Trouble,
        echo: Callable[[Event], None] | None = None,
        redact: Callable[[str], str] | None = None,
        now_ns: NowNs = wall_ns,
    ) -> None:
        self.emitter = emitter
        self.resource = resource
        self.trouble = trouble
        self.echo = echo
        self.redact = redact
        self.take = emitter.emit
        self._now_ns = now_ns
        self._who = (resource.service, resource.environment, resource.release)
        self._host = resource.host

    def log(
        self,
        level: int,
        logger: str,
        message: str,
        fields: dict[str, Any],
        strict: bool = False,
        echo: bool = True,
    ) -> bool:
        """Publish an event; whether it was taken. `fields` become attributes, except the ids and `exc_info`.

        Never raises unless `strict`: then what the emitter raises where durability is `required`. Without `echo`
        the console is left out: somebody else writes there.
        """
        try:
            context = current.get()
            exception = ""
            if not RESERVED.isdisjoint(fields):
                context, exception, fields = sorted_out(context, fields)
            bound, request_id, trace_id, span_id, _ = context
            if bound:
                fields = {**bound, **fields}
            service, environment, release = self._who
            event: Event = _new_event(
                Event,
                (
                    self._now_ns(),
                    level,
                    service,
                    environment,
                    release,
                    logger,
                    self._host,
                    message if type(message) is str else text_of(message),
                    trace_id,
                    span_id,
                    request_id,
                    exception,
                    encode(fields) if fields else "",
                ),
            )
            if echo and self.echo is not None:
                self.echo(event)
            return self.take(event)
        except MonitoringError:
            if strict:
                raise
            self.trouble.count("refused")
        except Exception as error:
            self.trouble.bug("an event could not be made", error)
        return False


def sorted_out(context: Context, fields: Mapping[str, Any]) -> tuple[Context, str, dict[str, Any]]:
    """The context with the ids among the fields, the exception as JSON text, and the other fields."""
    ids = {name: fields[name] for name in IDS if name in fields}
    rest = {name: value for name, value in fields.items() if name not in RESERVED}
    error = exceptions.from_exc_info(fields.get("exc_info"))
    if fields.get("stack_info"):
        rest["stack"] = exceptions.stack_here()
    if error is None:
        return extended(context, ids), "", rest
    return extended(context, ids), exceptions.encode(error), {**exceptions.context_of(error), **rest}


_lock = threading.RLock()
_active: Client | None = None


def active() -> Client | None:
    """The client in force, or None."""
    return _active


def install(client: Client | None) -> Client | None:
    """Make this the client in force; returns the one before."""
    global _active
    with _lock:
        before, _active = _active, client
    return before
