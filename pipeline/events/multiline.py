"""Which lines belong to the event before them: stack traces of the usual languages, and indented lines.

Pure rules over lines of text, one at a time, no looking ahead:

    state --line--> Verdict(belongs, state)

The state says inside which kind of trace the last line stood. Joining stops at bounds (`MAX_LINES`,
`MAX_GROUP_BYTES`), after which a line starts anew as if nothing had been before it; so a reader that begins
there comes to the same events.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

__all__ = [
    "MAX_GROUP_BYTES",
    "MAX_LINES",
    "Kind",
    "Verdict",
    "begins_trace",
    "follows",
    "own_message",
    "shows_trace",
    "split_trace",
]

MAX_LINES = 10_000
MAX_GROUP_BYTES = 256 << 10
"""Bounds of one event's lines. The largest traces met (deep recursion in Java, 1,024 frames) have 120 KB; the
rest of an event's megabyte is for escapes."""

Kind = Literal["", "python", "python-end", "python-chain", "java", "go", "other"]
"""No trace yet; inside a Python trace, behind its last line, between two chained ones; the other languages."""


class Verdict(NamedTuple):
    """Whether a line belongs to the event before it, and the state behind it."""

    belongs: bool
    kind: Kind


_PYTHON_START = "Traceback (most recent call last):"
_PYTHON_CHAIN = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
_PYTHON_LAST = re.compile(r"[A-Za-z_][\w.]*(?:: .*|:)?\s*$", re.DOTALL)
_JAVA_START = re.compile(
    r"(?:Exception in thread \"[^\"]*\" )?(?:[a-z_][\w$]*\.)+"
    r"[A-Z][\w$]*(?:Exception|Error|Throwable|Failure)\b(?::.*)?$",
    re.DOTALL,
)
_JAVA_NEXT = re.compile(r"(?:Caused by|Suppressed): |\.\.\. \d+ (?:more|common frames omitted)|Wrapped by: ")
_GO_START = re.compile(r"(?:panic|fatal error): |goroutine \d+ \[")
_GO_NEXT = re.compile(
    r"goroutine \d+ \[|created by |exit status \d+|panic: |\[signal |\[recovered\]|r\w{1,6} +0x"
    r"|\.\.\.additional frames elided\.\.\."
    r"|[\w./-]{1,300}(?:\(\*?[\w\[\].,]{1,100}\))?[\w./\[\],-]{0,300}\([^\n]*\)\s*$"  # main.(*Shop).Buy(0x0, …)
)
_OTHER_START = re.compile(
    r"PHP (?:Fatal|Parse) error: |thread '.*' panicked at |Uncaught \w*(?:Error|Exception)\b|stack backtrace:"
)
_OTHER_NEXT = re.compile(
    r"#\d+ |Stack trace:|stack backtrace:|note: |[Cc]aused by:|\S+:\d+:in [`']|[}\])]+[,;]?\s*$|--- End of "
)
_INDENTED_TRACE = re.compile(
    r"\s+(?:at \S|File \".*\", line \d+|from \S+:\d+|\.\.\. \d+ more|\d+: 0x[0-9a-f]|\+ Exception Group Traceback)"
)
_NEXT = {"java": _JAVA_NEXT, "go": _GO_NEXT, "other": _OTHER_NEXT}


def begins_trace(line: str) -> Kind:
    """The kind of trace that an unindented line is the first of; "" if of none."""
    first = line[:1]
    if first in "TEPtUs" or first.islower():
        if line.startswith(_PYTHON_START):
            return "python"
        if _GO_START.match(line):
            return "go"
        if _JAVA_START.match(line):
            return "java"
        if _OTHER_START.match(line):
            return "other"
    return ""


def shows_trace(line: str) -> bool:
    """Whether an indented line is a frame of a trace: `  at …`, `  File "…", line 3`, `\\tfrom …`."""
    return _INDENTED_TRACE.match(line) is not None


def follows(kind: Kind, line: str, after_blank: bool) -> Verdict:
    """Whether a line that is not blank belongs to the event whose last line left the state `kind`.

    `after_blank` says that blank lines stand between. The first line of a trace is not judged here: whether
    it joins depends on the event before (see `begins_trace`).
    """
    if line[0] in " \t":
        if kind == "" and after_blank:
            return Verdict(False, "")
        return Verdict(True, _after_indented(kind, line))
    if kind == "python":
        return Verdict(True, "python-end") if _PYTHON_LAST.match(line) else Verdict(False, "")
    if kind == "python-end":
        return Verdict(True, "python-chain") if line.startswith(_PYTHON_CHAIN) else Verdict(False, "")
    if kind == "python-chain":
        return Verdict(True, "python") if line.startswith(_PYTHON_START) else Verdict(False, "")
    pattern = _NEXT.get(kind)
    return Verdict(True, kind) if pattern is not None and pattern.match(line) else Verdict(False, "")


def _after_indented(kind: Kind, line: str) -> Kind:
    if kind not in ("", "other") or not shows_trace(line):
        return kind
    stripped = line.lstrip()
    if stripped.startswith(("File ", "+ Exception Group")):
        return "python"  # a SyntaxError shows its place without saying Traceback
    return "java" if line.startswith("\tat ") or stripped.startswith("... ") else "other"


def split_trace(lines: list[str]) -> int:
    """Index of the first line that is part of a trace; the number of lines where none is."""
    for index, line in enumerate(lines):
        if shows_trace(line) if line[:1] in (" ", "\t") else begins_trace(line):
            return index
    return len(lines)


def own_message(lines: list[str], kind: Kind) -> str:
    """What to call an event that is nothing but a trace: Python says it in the last line, the others in the first."""
    if kind.startswith("python"):
        for line in reversed(lines):
            if line.strip() and line[0] not in " \t":
                return line
    return lines[0].strip()
