"""A piece of work with ids of its own: a request, or a job. Within it every event carries them.

with headers or meta of the caller -> Work -> enter -> the application's code -> leave
"""

from __future__ import annotations

from contextvars import Token
from typing import Any

from monitoring.producers.client import active
from monitoring.producers.context import Context, bind, current, unbind
from monitoring.producers.trace import (
    SAMPLED,
    format_traceparent,
    is_trace,
    new_ids,
    parse_traceparent,
    sane_request_id,
    sane_tracestate,
)
from monitoring.producers.trouble import Trouble
from monitoring.producers.values import shown

__all__ = ["Work", "bug", "carried", "set_user"]

MAX_USER = 128
"""Characters of a user's id that are kept."""
_new = tuple.__new__


class Work:
    """The ids and the context of one piece of work. `enter` and `leave` may be called again and again around parts.

    What the application binds within it stays bound in the parts that follow.
    """

    __slots__ = ("__weakref__", "context", "flags", "ids", "parent_span_id", "tracestate", "user")

    def __init__(
        self, request_id: str, traceparent: str, tracestate: str, fields: dict[str, Any] | None = None
    ) -> None:
        """Continues what the caller's headers name, in a span of its own; what is missing or not sane is made anew.

        `fields` are bound beside the ids, on top of what is bound already.
        """
        trace_id, span_id, new_id = new_ids()
        self.flags = SAMPLED
        self.parent_span_id = self.tracestate = self.user = ""
        if traceparent and (parent := parse_traceparent(traceparent)) is not None:
            trace_id, self.parent_span_id, self.flags = parent
            if tracestate:
                self.tracestate = sane_tracestate(tracestate)
        bound = current.get()[0]
        if fields:
            bound = {**bound, **fields}
        request_id = (request_id and sane_request_id(request_id)) or new_id
        self.ids = request_id, trace_id, span_id
        self.context: Context = _new(Context, (bound, request_id, trace_id, span_id, self))

    def answer(self) -> tuple[str, str]:
        """The request id, and the `traceparent` that names this work's span."""
        request_id, trace_id, span_id = self.ids
        return request_id, f"00-{trace_id}-{span_id}-{self.flags}"

    def enter(self) -> Token[Context]:
        """Have what runs now belong to this work, until `leave`."""
        return current.set(self.context)

    def leave(self, token: Token[Context]) -> None:
        """Undo `enter`, keeping what was bound since. In another context than `enter` there is nothing to undo."""
        context = current.get()
        try:
            current.reset(token)
        except ValueError:  # a coroutine that is closed by the garbage collector ends in another context
            return
        self.context = context

    def forget(self) -> None:
        """Nothing of it will run any more: let go of its context, which holds on to this."""
        self.context = _NOTHING


_NOTHING = Context({})


def carried() -> dict[str, str]:
    """What goes to who is called or enqueued now: `request_id`, `traceparent`, `tracestate`; only what there is."""
    _, request_id, trace_id, span_id, work = current.get()
    found = {"request_id": sane_request_id(request_id)}
    if is_trace(trace_id, span_id):  # not where the application has bound ids of another kind
        flags = SAMPLED
        if isinstance(work, Work) and work.ids[1] == trace_id:
            flags, found["tracestate"] = work.flags, work.tracestate
        found["traceparent"] = format_traceparent(trace_id, span_id, flags)
    return {name: value for name, value in found.items() if value}


def set_user(user: object) -> None:
    """Say who the request at hand is for: its record, and every event from here on, has the id as `user`.

    Give an id rather than a name or an address; None takes it back. Outside of a request it is bound all the same.
    """
    text = "" if user is None else _text(user)
    work = current.get().work
    if isinstance(work, Work):
        work.user = text
    if text:
        bind(user=text)
    else:
        unbind("user")


def _text(user: object) -> str:
    try:
        return str(user)[:MAX_USER]
    except Exception:  # an object of the application whose __str__ raises must not end its request
        return shown(user, MAX_USER)


_trouble = Trouble()


def bug(doing: str, error: BaseException) -> None:
    """Tell a fault of ours: the application must not notice."""
    client = active()
    (client.trouble if client is not None else _trouble).bug(doing, error)
