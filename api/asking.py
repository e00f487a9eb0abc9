"""What the addresses that read logs share: range, deadline, how far the store is complete, how an answer ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from monitoring.api.params import Moment, OneOf, Text
from monitoring.api.problems import Problem
from monitoring.api.routes import Call
from monitoring.api.runtime import Runtime
from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.errors import MonitoringError
from monitoring.pipeline.query.advice import advice
from monitoring.pipeline.query.completeness import complete_through
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import EARLIEST, LATEST, format_ns
from monitoring.pipeline.query.search import Order

__all__ = ["END", "ORDER", "QUERY", "RANGE", "START", "answered", "deadline", "names", "order", "span"]

QUERY = Text("query", "in the search language; empty: everything")
START = Moment("start", "included")
END = Moment("end", "excluded")
RANGE = (QUERY, START, END)
"""What all that read logs take."""

_ORDERS: dict[str, Order] = {"newest": "newest", "oldest": "oldest", "desc": "newest", "asc": "oldest"}
_LONGEST_NAME = 256
"""Characters of a field's name: what people write has thirty."""


def span(call: Call) -> tuple[int, int]:
    """Where the range begins, and where it ends, exclusive: nanoseconds since 1970. Raises Problem."""
    now = call.runtime.now_ns()
    begins, ends = _moment(call, START, EARLIEST, now), _moment(call, END, LATEST, now)
    if begins > ends:
        raise Problem(
            400, f"the range begins at {format_ns(max(0, begins))}, after its end", field=str(START),
            fix=f"give a start before the end, which is {format_ns(max(0, ends))}, or change the two round",
        )  # fmt: skip
    return begins, ends


def _moment(call: Call, parameter: Moment, default: int, now: int) -> int:
    text = call.params.get(str(parameter))
    return parameter.at(text, now) if text else default


def names(call: Call, parameter: str, default: Sequence[str], most: int) -> tuple[str, ...]:
    """Names of fields, divided by commas. Raises Problem."""
    if parameter not in call.params:
        return tuple(default)
    found = tuple(dict.fromkeys(name.strip() for name in call.params[parameter].split(",")))
    if not all(found) or len(found) > most or any(len(name) > _LONGEST_NAME for name in found):
        raise Problem(
            400,
            "not a list of fields",
            field=parameter,
            fix=f"1 to {most} names like service,http.status, divided by commas",
        )
    return found


ORDER = OneOf("order", "which come first", choices=tuple(_ORDERS))


def order(call: Call, default: Order) -> Order:
    """Which events come first. Raises Problem."""
    return _ORDERS[ORDER.of(call.params) or default]


def deadline(runtime: Runtime) -> Deadline:
    """When the answer is due."""
    return Deadline(runtime.settings.number("query_timeout"))


def answered(call: Call, ask: Callable[[], tuple[dict[str, Any], str | None]]) -> dict[str, Any]:
    """The answer that `ask` gives with why it is partial, and what every answer says of itself.

    `hints` tells of words in the query that look like an operator or a field and are none.
    """
    runtime = call.runtime
    began = time.perf_counter()
    complete = _complete_through(runtime)  # before the search: what arrives meanwhile only makes it truer
    with runtime.gate.entered():
        answer, partial = ask()
    answer["complete_through"] = complete
    took = time.perf_counter() - began
    runtime.tally.observe("query", took)
    answer["took_ms"] = round(took * 1000, 3)
    if partial is not None:
        answer["partial"] = {"reason": partial}
    hints = advice(call.params.get(str(QUERY), ""))
    if hints:
        answer["hints"] = hints
    return answer


def _complete_through(runtime: Runtime) -> str | None:
    """What was sent before this moment is searchable; None while the bus cannot tell."""
    try:
        now = runtime.now_ns()
        return rfc3339(complete_through(runtime.streams, runtime.catalog.partitions(), now))
    except MonitoringError:
        return None
