"""The threads of publishers, by their idents: what is logged in one of them must not be published by it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["idents", "within"]

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
