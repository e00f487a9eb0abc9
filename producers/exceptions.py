"""An exception as it is kept: its type, message, causes, stack, and a fingerprint that names the bug.

    {"type", "message", "fingerprint", "stacktrace", "causes": [{"type", "message", "relation"}]}

`stacktrace` is what Python prints. `fingerprint` is the same for the same bug, though lines move, ids in messages
differ and machines have other paths: it is made of the types in the chain and, for each frame of the application's
own code, the module, the function and the words of the line that was running; no line number, no file name, no message.
"""

from __future__ import annotations

import hashlib
import linecache
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from types import CodeType, TracebackType
from typing import Any

import orjson

from monitoring.producers import foreign
from monitoring.producers.values import shown

__all__ = ["MAX_STACK", "annotate", "context_of", "describe", "encode", "fingerprint", "from_exc_info", "stack_here"]

MAX_STACK = 64 << 10
"""Characters of a stack trace: its head and its tail are kept, what is between them is the least of use."""
MAX_MESSAGE = 4096
MAX_CAUSES = 16
"""Longest chain of causes, and most members of a group, that are named."""
_MAX_PLACES = 64
"""Of a stack that make the fingerprint, from the raising end: those behind tell who called, not what broke."""


def encode(error: BaseException) -> str:
    """The exception as JSON text for an event. Never raises."""
    try:
        return orjson.dumps(describe(error)).decode()
    except Exception as trouble:
        text = f"{type(error).__name__} (it cannot be shown: {type(trouble).__name__})"
        return orjson.dumps({"type": type(error).__name__, "message": text}).decode()


def from_exc_info(exc_info: Any) -> BaseException | None:
    """The exception that a logger's `exc_info` means: an exception, its triple, or True for the one being handled."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if len(exc_info) > 1 and isinstance(exc_info[1], BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def stack_here() -> str:
    """The stack of the caller, without the frames of this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame.f_globals):
        frame = frame.f_back
    return _clean(_middle_cut("".join(traceback.format_stack(frame)).rstrip("\n")))


_NOTES = "__monitoring_context__"


def annotate(error: BaseException, fields: Mapping[str, Any]) -> None:
    """Attach fields to an exception, for the event that will report it; those that it has already stay."""
    known = getattr(error, _NOTES, {})
    with suppress(AttributeError, TypeError):  # an exception that takes no attributes goes without
        setattr(error, _NOTES, {**fields, **known})


def context_of(error: BaseException) -> dict[str, Any]:
    """The fields attached to an exception and its causes, the nearest winning."""
    found: dict[str, Any] = dict(getattr(error, _NOTES, {}))
    for _, cause in _chain(error):
        found = {**getattr(cause, _NOTES, {}), **found}
    return found


def describe(error: BaseException) -> dict[str, Any]:
    """The exception as an object; see the module."""
    described: dict[str, Any] = {
        "type": _type_name(error),
        "message": _clean(_message(error)),
        "fingerprint": fingerprint(error),
        "stacktrace": _clean(_middle_cut(_printed(error))),
    }
    causes = [
        {"type": _type_name(cause), "message": _clean(_message(cause)), "relation": relation}
        for relation, cause in _chain(error)
    ]
    if causes:
        described["causes"] = causes
    return described


def fingerprint(error: BaseException) -> str:
    """16 hex digits that name the bug."""
    state = hashlib.blake2b(digest_size=8)
    for link in (error, *(cause for _, cause in _chain(error))):
        state.update(f"\0{_type_name(link)}".encode(errors="replace"))
        for mark in _marks(link.__traceback__):
            state.update(f"\n{mark}".encode(errors="replace"))
    return state.hexdigest()


def _chain(error: BaseException) -> Iterator[tuple[str, BaseException]]:
    """The causes, nearest first, then the members of groups; each once."""
    seen = {id(error)}
    waiting = [error]
    number = 0
    while waiting and number < MAX_CAUSES:
        link = waiting.pop(0)
        followers = [_cause(link)]
        if isinstance(link, BaseExceptionGroup):
            followers += [("member", member) for member in link.exceptions]
        for follower in followers:
            if follower is not None and id(follower[1]) not in seen and number < MAX_CAUSES:
                seen.add(id(follower[1]))
                waiting.append(follower[1])
                number += 1
                yield follower


def _cause(error: BaseException) -> tuple[str, BaseException] | None:
    if error.__cause__ is not None:
        return "cause", error.__cause__
    if error.__context__ is not None and not error.__suppress_context__:
        return "context", error.__context__
    return None


def _marks(trace: TracebackType | None) -> list[str]:
    """What the frames say of where it broke, from the raising end: the application's own, or all where none is.

    Each place counts once, so that a stack overflow has one fingerprint at any depth.
    """
    frames: dict[tuple[CodeType, int], dict[str, Any]] = {}
    while trace is not None:
        place = (trace.tb_frame.f_code, trace.tb_lineno)
        frames.pop(place, None)  # where it comes again, the last time counts: it is nearest to what broke
        frames[place] = trace.tb_frame.f_globals
        trace = trace.tb_next
    places = [(code, line, names) for (code, line), names in reversed(frames.items())]
    own = [place for place in places if not _is_library(place[0].co_filename) and not _is_ours(place[2])]
    return [_mark(*place) for place in (own or places)[:_MAX_PLACES]]


def _mark(code: CodeType, line: int, names: dict[str, Any]) -> str:
    words = " ".join(linecache.getline(code.co_filename, line, names).split())
    return f"{names.get('__name__', '')}|{code.co_qualname}|{words}"


_PACKAGE = __name__.partition(".")[0]


def _is_ours(names: dict[str, Any]) -> bool:
    return str(names.get("__name__", "")).partition(".")[0] == _PACKAGE


def _from_the_application(trace: TracebackType | None) -> TracebackType | None:
    """The stack without our own frames at its beginning, which are those of a decorator or middleware."""
    first = trace
    while trace is not None and _is_ours(trace.tb_frame.f_globals):
        trace = trace.tb_next
    return first if trace is None else trace


@cache
def _library_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple(sorted({paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}))


@cache
def _is_library(filename: str) -> bool:
    """Whether the code comes with Python or was installed, and is not the application's own."""
    return (
        filename.startswith(("<frozen", *_library_folders()))
        or "/site-packages/" in filename
        or "/dist-packages/" in filename
    )


def _type_name(error: BaseException) -> str:
    kind = type(error)
    plain = kind.__module__ in ("builtins", "__main__")
    return kind.__qualname__ if plain else f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        text = foreign.call(str, error)
    except Exception:
        text = shown(error)
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}…"


def _printed(error: BaseException) -> str:
    try:
        trace = _from_the_application(error.__traceback__)
        return "".join(foreign.call(traceback.format_exception, type(error), error, trace)).rstrip("\n")
    except Exception as trouble:  # its __str__ or the source's reader raised
        frames = "".join(traceback.format_tb(error.__traceback__))
        return f"{frames}{_type_name(error)}: {_message(error)} ({type(trouble).__name__} while it was printed)"


def _middle_cut(text: str) -> str:
    if len(text) <= MAX_STACK:
        return text
    half = MAX_STACK // 2
    return f"{text[:half]}\n  … {len(text) - 2 * half} characters …\n{text[-half:]}"


def _clean(text: str) -> str:
    """The text without lone surrogates, which JSON text in UTF-8 cannot hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
