"""How patterns are compiled: RE2 over bytes, so that any input takes time in proportion to its length."""

from __future__ import annotations

from typing import Any

import re2

__all__ = ["compile_bytes", "compile_text"]

_MEMORY_BYTES = 64 << 20
"""RE2 builds its automaton as it reads, and goes over to a slower one where that outgrows its memory. It needs a few
MB for our patterns; what is not needed is not taken."""


def compile_bytes(pattern: str, *, captures: bool = True) -> Any:
    """A pattern of ours. One byte is one sign, so that any bytes can be searched; without `captures` it finds the whole
    match only, and faster."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = _MEMORY_BYTES
    options.never_capture = not captures
    return re2.compile(pattern.encode(), options)


def compile_text(pattern: str) -> Any:
    """A pattern of the user's, over UTF-8. Raises re2.error."""
    options = re2.Options()
    options.max_mem = _MEMORY_BYTES
    options.log_errors = False
    return re2.compile(pattern.encode(), options)
