"""The threads of publishers, by their idents: what is logged in one of them must not be published by it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

__all__ = ["idents", "thread", "within"]

idents: set[int] = set()
"""Idents of the threads that send now; a caller's own while it waits in `flush` with no thread to do the work."""


@contextmanager
def within() -> Iterator[None]:
    """This thread sends, within the block."""
    ident = threading.get_ident()
    nested = ident in idents
    idents.add(ident)
    try:
        yield
    finally:
        if not nested:
            idents.discard(ident)


def thread(name: str, work: Callable[[], None]) -> threading.Thread:
    """A thread that sends, not started; it does not hold up the end of the process."""

    class Own(threading.Thread):  # the class of that name may be another than when this was imported: gevent's
        def run(self) -> None:
            with within():
                work()

        def _delete(self) -> None:
            with suppress(KeyError):  # it was a thread before gevent patched, and is not found any more under its ident
                super()._delete()  # type: ignore[misc]  # CPython and gevent have it, typeshed does not

    return Own(name=name, daemon=True)
