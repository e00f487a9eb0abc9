"""What is known of the work at hand: fields that every event of it carries.

Kept in a context variable, so each thread, asyncio task and greenlet has its own, and a task that is started
within one inherits a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol

from monitoring.producers.block import Block

__all__ = ["IDS", "Context", "bind", "bound", "clear", "contextual", "current", "extended", "unbind"]

IDS = ("request_id", "trace_id", "span_id")
"""Fields that have a column of their own in an event."""


class _Work(Protocol):
    ids: tuple[str, str, str]


class Context(NamedTuple):
    """The fields bound at a point of the program. `fields` is never changed: binding makes another one.

    `work` is the request or job at hand.
    """

    fields: dict[str, Any]
    request_id: str = ""
    trace_id: str = ""
    span_id: str = ""
    work: _Work | None = None


_EMPTY = Context({})
current: ContextVar[Context] = ContextVar("monitoring_context", default=_EMPTY)
"""The context variable itself, for who sets and resets it around a piece of work."""


def bound() -> dict[str, Any]:
    """A copy of everything that is bound now, ids included."""
    context = current.get()
    ids = {name: value for name, value in zip(IDS, context[1:4], strict=True) if value}
    return {**ids, **context.fields}


def bind(**fields: Any) -> None:
    """Have every later event of this thread, task or greenlet carry these fields."""
    current.set(extended(current.get(), fields))


def unbind(*names: str) -> None:
    """Drop fields that were bound; names that are not bound do no harm."""
    context = current.get()
    fields = {name: value for name, value in context.fields.items() if name not in names}
    request_id, trace_id, span_id = (
        "" if name in names else value for name, value in zip(IDS, context[1:4], strict=True)
    )
    current.set(Context(fields, request_id, trace_id, span_id, context.work))


def clear() -> None:
    """Drop everything that is bound. The ids of the request or job at hand stay."""
    work = current.get().work
    current.set(_EMPTY if work is None else Context({}, *work.ids, work))


def contextual(**fields: Any) -> Block:
    """Bind these fields within a block, or as a decorator within the calls of a function or coroutine."""
    return Block(lambda: _contextual(fields))


@contextmanager
def _contextual(fields: dict[str, Any]) -> Iterator[None]:
    token = current.set(extended(current.get(), fields))
    try:
        yield
    finally:
        _reset(token)


def extended(context: Context, fields: Mapping[str, Any]) -> Context:
    """The context with more fields, later ones winning."""
    known = zip(IDS, context[1:4], strict=True)
    request_id, trace_id, span_id = (str(fields[name] or "") if name in fields else before for name, before in known)
    rest = {name: value for name, value in fields.items() if name not in IDS}
    merged = {**context.fields, **rest} if rest else context.fields
    return Context(merged, request_id, trace_id, span_id, context.work)


def _reset(token: Any) -> None:
    """Undo a `set`. A generator that is closed by another task or by the garbage collector resets elsewhere: let it."""
    try:
        current.reset(token)
    except ValueError:
        return
