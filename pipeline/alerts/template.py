"""Texts of alerts with places to fill in: `CPU of {{ labels.host }} at {{ value | percent }}`.

A place holds a name and any number of filters, nothing else: there is no expression, no call and no attribute of a
Python object to reach, so a template cannot run code. What an alert lacks is an empty text.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from monitoring.pipeline.alerts.durations import duration
from monitoring.pipeline.errors import PermanentError

__all__ = ["FILTERS", "LONGEST_TEMPLATE", "LONGEST_TEXT", "NAMES", "Context", "TemplateInvalid", "check", "fill"]

NAMES = ("rule", "severity", "state", "value", "threshold", "since", "samples", "runbook")
"""Names of places, beside `labels.x` and `links.x`."""
_MAPPINGS = ("labels", "links")
LONGEST_TEMPLATE = 4096
LONGEST_TEXT = 8192
"""Characters of a text that was filled in: a message, not a document."""
_PLACE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,255}")


class TemplateInvalid(PermanentError):
    """A template has a place that nothing could fill."""


class Context(NamedTuple):
    """What fills the places. `values` by the names of `NAMES`; `samples` are log lines."""

    values: Mapping[str, Any]
    labels: Mapping[str, str]
    links: Mapping[str, str]


def check(template: str) -> None:
    """Raises TemplateInvalid for a place that nothing could fill, with what would."""
    if len(template) > LONGEST_TEMPLATE:
        raise TemplateInvalid(f"{len(template)} characters: {LONGEST_TEMPLATE} at most")
    for place in _PLACE.findall(template):
        name, filters = _parts(place)
        head = name.partition(".")[0]
        if _NAME.fullmatch(name) is None or (name not in NAMES if head == name else head not in _MAPPINGS):
            known = (*NAMES, "labels.NAME", "links.alert", "links.logs")
            raise TemplateInvalid(f"{{{{{place}}}}} names nothing: {_near(name, known)}")
        for each in filters:
            if each not in FILTERS:
                raise TemplateInvalid(f"{{{{{place}}}}} has no filter {each!r}: {_near(each, tuple(FILTERS))}")
    if "{{" in _PLACE.sub("", template):
        raise TemplateInvalid("a place that begins with {{ does not end with }}")


def fill(template: str, context: Context) -> str:
    """The text, its places filled in. What cannot be is left as it stands; never raises."""

    def filled(match: re.Match[str]) -> str:
        name, filters = _parts(match[1])
        value = _value(name, context)
        for each in filters:
            if each in FILTERS and value is not None:
                value = FILTERS[each](value)
        return _text(value)

    return _PLACE.sub(filled, template)[:LONGEST_TEXT]


def _parts(place: str) -> tuple[str, Sequence[str]]:
    name, *filters = (part.strip() for part in place.split("|"))
    return name, filters


def _value(name: str, context: Context) -> Any:
    head, dot, rest = name.partition(".")
    if dot and head in _MAPPINGS:
        return (context.labels if head == "labels" else context.links).get(rest)
    return context.values.get(name)


def _near(name: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(name, known, 1, 0.6)
    return f"did you mean {found[0]}?" if found else f"known are {', '.join(known)}"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return "\n".join(map(str, value))
    return str(value)


def _number(shown: Callable[[float], str]) -> Callable[[Any], Any]:
    """A filter for numbers; what is none passes through."""

    def apply(value: Any) -> Any:
        try:
            return shown(float(value))
        except (TypeError, ValueError, OverflowError):
            return value

    return apply


def _scaled(value: float, step: float, units: Sequence[str]) -> str:
    index = 0
    while abs(value) >= step and index < len(units) - 1:
        value, index = value / step, index + 1
    return f"{value:.4g}{units[index]}"


FILTERS: Mapping[str, Callable[[Any], Any]] = {
    "humanize": _number(lambda value: _scaled(value, 1000, ("", "k", "M", "G", "T"))),
    "bytes": _number(lambda value: _scaled(value, 1024, (" B", " KiB", " MiB", " GiB", " TiB"))),
    "percent": _number(lambda value: f"{value * 100:.3g} %"),
    "duration": _number(lambda value: duration(int(value)) if value >= 1 else f"{value * 1000:.3g}ms"),
    "round": _number(lambda value: f"{value:.2f}"),
    "upper": lambda value: str(value).upper(),
    "lower": lambda value: str(value).lower(),
}
"""What may stand behind `|`: `percent` takes a ratio, `duration` seconds."""
