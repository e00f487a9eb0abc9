"""One request from its first byte to its last, whichever framework serves it: its ids, its record, its metrics.

    Request(policy, method, path, …)   ids from the headers or new; in flight
      enter … leave                    around the application's code
      end(status, …)                   one event of `monitoring.request`, one observation of `http_server_*`

The record's attributes: `method`, `route`, `status`, `duration_ms`, `request_bytes`, `response_bytes`, `client`,
`user_agent`; where there is something to say `user`, `aborted`, `sample_rate`, `parent_span_id`, `request_body` and
`response_body`; with an unhandled exception `path` and `query`, and what `error_context` added.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any
from urllib.parse import parse_qsl

from monitoring.producers import request_metrics
from monitoring.producers.client import active
from monitoring.producers.logger import ERROR, INFO, WARNING, threshold
from monitoring.producers.reported import mark
from monitoring.producers.request_body import BodyCopy
from monitoring.producers.request_metrics import in_flight
from monitoring.producers.request_policy import Policy
from monitoring.producers.route import MAX_PATH
from monitoring.producers.work import Work, bug

__all__ = ["ABORTED", "LOGGER", "Request"]

ABORTED = 499
"""Status of a request whose client left before there was one: nginx' number for it."""
LOGGER = "monitoring.request"
_FAILED = 500
_MAX_METHOD = 32
_MAX_AGENT = 256
"""Characters of a user agent: those of browsers have up to 200."""
_MAX_PARAMETERS = 64
"""Of a query that goes with an exception."""


class Request(Work):
    """A request that is being served. Nothing here raises into the application."""

    TIMED = True
    """Whether its duration says something: it is measured, and may be too long."""

    __slots__ = (
        "began",
        "counted",
        "ended",
        "error",
        "excluded",
        "method",
        "path",
        "policy",
        "request_body",
        "request_bytes",
        "response_body",
        "took",
    )

    def __init__(
        self, policy: Policy, method: str, path: str, request_id: str, traceparent: str, tracestate: str
    ) -> None:
        """It begins now. `path` is the application's own, without what a server or mount has taken off."""
        self.began = perf_counter()
        Work.__init__(self, request_id, traceparent, tracestate)
        self.policy = policy
        self.method = method
        self.path = path
        self.request_bytes = 0
        self.took = 0.0
        self.ended = False
        self.error: BaseException | None = None
        self.request_body: BodyCopy | None = None
        self.response_body: BodyCopy | None = None
        self.excluded = policy.excludes(path)
        self.counted = self.TIMED and not self.excluded
        if self.counted:
            in_flight.add(id(self))

    def route(self) -> str:
        """The route in the application's own notation; asked at the end."""
        raise NotImplementedError

    def peer(self) -> tuple[str, str]:
        """The client's address as the server gives it, and its user agent; asked at the end."""
        raise NotImplementedError

    def query(self) -> str:
        """The query string, encoded as it came."""
        raise NotImplementedError

    def report(self, error: BaseException, *files: str) -> None:
        """Nobody handled this exception: the record tells it, and the server, or code in `files`, need not."""
        self.error = error
        if active() is not None:
            mark(error, *files)

    def stop_clock(self) -> None:
        """The last byte has gone; what follows is not the request's time."""
        self.took = perf_counter() - self.began

    def end(self, status: int, response_bytes: int, *, aborted: bool = False) -> None:
        """It is over; only the first call counts. `status` is 0 where the application gave none."""
        if self.ended:
            return
        self.ended = True
        if not self.took:
            self.took = perf_counter() - self.began
        try:
            self._record(status or (ABORTED if aborted else _FAILED), response_bytes, aborted)
        except Exception as error:
            bug("a request could not be recorded", error)

    def _record(self, status: int, response_bytes: int, aborted: bool) -> None:
        route = self.route()
        if self.counted:
            in_flight.discard(id(self))
            request_metrics.ended(self.method, route, status, self.took, self.request_bytes, response_bytes)
        client = active()
        if client is None:
            return
        level, rate = self.verdict(status, route)
        if level == 0 or level < threshold():
            return
        message, fields = self.facts(status, route, response_bytes)
        if self.user:
            fields["user"] = self.user
        if self.parent_span_id:
            fields["parent_span_id"] = self.parent_span_id
        if rate < 1.0:
            fields["sample_rate"] = rate
        if aborted:
            fields["aborted"] = True
        if self.error is not None or self.request_body is not None or self.response_body is not None:
            self._add_contents(fields)
        client.log(level, LOGGER, message, fields)

    def verdict(self, status: int, route: str) -> tuple[int, float]:
        """The severity of the record, 0 where there shall be none, and the part of its like that is recorded."""
        if status >= _FAILED or self.error is not None:
            return ERROR, 1.0
        if self.excluded:
            return 0, 0.0
        policy = self.policy
        if self.TIMED and self.took >= policy.slow_seconds:
            return WARNING, 1.0
        if not policy.sample:
            return INFO, 1.0
        rate = policy.rate(route)
        return (INFO if rate >= 1.0 or policy.draw() < rate else 0), rate

    def facts(self, status: int, route: str, response_bytes: int) -> tuple[str, dict[str, Any]]:
        """The record's message and what every record says."""
        method = self.method[:_MAX_METHOD]
        address, agent = self.peer()
        return f"{method} {route} {status}", {
            "method": method,
            "route": route,
            "status": status,
            "duration_ms": round(self.took * 1000, 3),
            "request_bytes": self.request_bytes,
            "response_bytes": response_bytes,
            "client": address,
            "user_agent": agent[:_MAX_AGENT],
        }

    def _add_contents(self, fields: dict[str, Any]) -> None:
        """What most records do not have."""
        if self.error is not None:
            fields |= {"exc_info": self.error, "path": self.path[:MAX_PATH], **self._query()}
        for name, copy in (("request_body", self.request_body), ("response_body", self.response_body)):
            if copy is not None and copy.total:
                fields[name] = copy.value(self.policy.redact)

    def _query(self) -> dict[str, Any]:
        """By name, so that redaction knows each value's."""
        query = self.query()
        try:
            pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
        except ValueError:
            return {"query": f"({len(query)} characters, more than {_MAX_PARAMETERS} parameters)"}
        return {"query": dict(pairs)} if pairs else {}
