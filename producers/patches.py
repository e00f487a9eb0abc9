"""Methods of other libraries that we stand in front of, each put back as it was."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

__all__ = ["replace_method", "restore_all"]

_lock = threading.Lock()
_replaced: list[tuple[type, str, Any, Any]] = []


def replace_method(owner: type, name: str, make: Callable[[Any], Any]) -> None:
    """Put what `make` makes of the method in its place, once; a class that has no such method is left alone."""
    with _lock:
        if name not in owner.__dict__ or any(kind is owner and method == name for kind, method, _, _ in _replaced):
            return
        original = owner.__dict__[name]
        replacement = make(original)
        setattr(owner, name, replacement)
        _replaced.append((owner, name, original, replacement))


def restore_all() -> None:
    """Put everything back, but for what somebody else has put something in front of since."""
    with _lock:
        for owner, name, original, replacement in _replaced:
            if owner.__dict__.get(name) is replacement:
                setattr(owner, name, original)
        _replaced.clear()
