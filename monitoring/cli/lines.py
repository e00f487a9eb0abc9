"""An event as lines for people: colours on a terminal, and nothing in a log that could act on one."""

from __future__ import annotations

import re
from typing import Any

import click
import orjson

__all__ = ["COLOURS", "event_lines", "safe"]

COLOURS = {"TRACE": "bright_black", "DEBUG": "bright_black", "INFO": "green", "WARNING": "yellow", "ERROR": "red",
            "FATAL": "magenta"}  # fmt: skip
"""Of the levels, on a terminal."""
_LEVEL_WIDTH = 7
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters (a log line must not move the cursor or rename the window) and those that turn text round;
not tab and newline, which are laid out."""
_PLAIN = re.compile(r"[^\s\"=]+")
_STACKS = ("stacktrace", "stack_trace", "stack", "traceback")
_MILLISECONDS = len("2026-05-01T10:00:00.000")


def event_lines(event: dict[str, Any]) -> str:
    """`time LEVEL service message key=value …`; further lines of the message and the exception are indented."""
    level = event["level"]
    first, *more = safe(event["message"]).split("\n")
    head = " ".join((
        click.style(event["timestamp"][:_MILLISECONDS] + "Z", dim=True),
        click.style(level.ljust(_LEVEL_WIDTH), fg=COLOURS.get(level), bold=level in ("ERROR", "FATAL")),
        click.style(safe(event["service"]) or "-", fg="cyan"),
        first,
    ))  # fmt: skip
    pairs = " ".join(f"{click.style(safe(key) + '=', dim=True)}{value}" for key, value in _pairs(event))
    lines = [f"{head} {pairs}" if pairs else head, *(f"    {line}" for line in more)]
    if event["exception"]:
        lines += (click.style(f"    {line}", fg="red") for line in _exception(event["exception"]))
    return "\n".join(lines)


def _pairs(event: dict[str, Any]) -> list[tuple[str, str]]:
    ids = [(key, event[key]) for key in ("trace_id", "request_id") if event[key]]
    return [(key, _value(value)) for key, value in (*event["attributes"].items(), *ids)]


def _value(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return safe(value)
    return safe(orjson.dumps(value).decode())


def _exception(value: Any) -> list[str]:
    """The lines of a stack trace, where there is one, else the whole as JSON."""
    if isinstance(value, dict):
        stack = next((value[key] for key in _STACKS if isinstance(value.get(key), str)), None)
        value = stack if stack is not None else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return safe(str(value)).rstrip().split("\n")


def safe(text: str) -> str:
    """The text with what could act on a terminal spelled out."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text.replace("\r\n", "\n"))
