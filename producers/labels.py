"""Names and labels: what Prometheus allows, made so where that is harmless, and bounded.

Pure. Definitions raise ValueError, because they are written once, by the programmer. Labels come with each record, from
whatever the program meets, so what cannot be is told from what can, and counted by the caller.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import orjson

from monitoring.pipeline.events.delta import Kind

__all__ = [
    "MAX_LABELS",
    "MAX_VALUE",
    "OTHER",
    "LabelsInvalid",
    "check_label_names",
    "exposed_names",
    "label_texts",
    "labels_text",
    "metric_name",
    "prose",
    "redacted",
    "relabelled",
]

MAX_LABELS = 16
"""Labels of a series. Prometheus' own guidance is below ten; what has more holds an event, not a series."""
MAX_VALUE = 256
"""Characters of a label's value; a route or an error's class has fewer, what has more is data."""
OTHER = "__other__"
"""What every label says of the one series that takes what is beyond the limits."""
_MAX_NAME = 200
_MAX_PROSE = 1000
_READ = 4096
"""Characters of a value that are redacted, before it is cut: a secret must not escape by being cut in two."""
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_UNDERSCORED = str.maketrans("./-", "___")


class LabelsInvalid(Exception):
    """These labels cannot be those of a series of this metric."""


def metric_name(name: str, kind: Kind) -> str:
    """Prometheus' base name: dots, dashes and slashes become underscores, a counter loses its `_total`.

    Raises ValueError for what is no name then.
    """
    found = str(name).translate(_UNDERSCORED)
    if kind == "counter":
        found = found.removesuffix("_total")
    if not _METRIC.fullmatch(found) or len(found) > _MAX_NAME:
        raise ValueError(
            f"{name!r} cannot name a metric: letters, digits and underscores, a letter first, {_MAX_NAME} at most"
        )
    return found


def exposed_names(base: str, kind: Kind) -> tuple[str, ...]:
    """The names that a metric takes up where it is queried, its base name first."""
    endings = {"counter": ("_total",), "gauge": (), "histogram": ("_bucket", "_sum", "_count")}[kind]
    return (base, *(base + ending for ending in endings))


def check_label_names(names: Iterable[str], kind: Kind) -> tuple[str, ...]:
    """The declared label names, sorted. Raises ValueError."""
    if isinstance(names, str):
        raise ValueError(f"labels={names!r}: expected a tuple of names, like ({names!r},)")
    found = tuple(sorted(names))
    for name in found:
        if not _is_label(name, kind):
            raise ValueError(f"{name!r} cannot name a label of a {kind}: letters, digits and underscores, not __ first")
    if len(set(found)) != len(found) or len(found) > MAX_LABELS:
        raise ValueError(f"labels={found}: at most {MAX_LABELS} different names")
    return found


def _is_label(name: object, kind: Kind) -> bool:
    if not isinstance(name, str) or len(name) > _MAX_NAME or not _LABEL.fullmatch(name):
        return False
    return not (kind == "histogram" and name == "le")


def label_texts(labels: Mapping[str, object], declared: tuple[str, ...], kind: Kind) -> dict[str, str]:
    """The labels with their values as texts.

    Raises LabelsInvalid for names that are not the `declared` ones (none declared: that cannot be names), or a value
    that has no text.
    """
    if declared:
        if labels.keys() != set(declared):
            raise LabelsInvalid(f"{sorted(labels)}, and not {declared}")
    elif len(labels) > MAX_LABELS or not all(_is_label(name, kind) for name in labels):
        raise LabelsInvalid(f"{sorted(labels)}")
    try:
        return {name: str(value) for name, value in labels.items()}
    except Exception as error:  # whatever a value's own __str__ does
        raise LabelsInvalid(f"{type(error).__name__}: {error}") from error


def redacted(labels: Mapping[str, str], redact: Callable[[str], str]) -> dict[str, str]:
    """The labels as they may leave the process. Raises LabelsInvalid where the hook fails."""
    try:
        return {name: str(redact(value[:_READ])) for name, value in labels.items()}
    except Exception as error:  # what did not pass the hook must not leave the process
        raise LabelsInvalid(f"{type(error).__name__}: {error}") from error


def labels_text(labels: Mapping[str, str]) -> str:
    """The labels as in `Delta.labels`. An empty value is none, as in Prometheus."""
    kept = {name: _bounded(value) for name, value in labels.items() if value}
    return orjson.dumps(kept, option=orjson.OPT_SORT_KEYS).decode()


def _bounded(value: str) -> str:
    cut = value[:MAX_VALUE]
    return cut if cut.isascii() else cut.encode(errors="replace").decode()  # lone surrogates have no encoding


def relabelled(text: str, redact: Callable[[str], str]) -> str:
    """Labels that are a text already, redacted; where that fails all are `__other__`."""
    labels = orjson.loads(text)
    try:
        return labels_text(redacted(labels, redact))
    except LabelsInvalid:
        return labels_text(dict.fromkeys(labels, OTHER))


def prose(text: str) -> str:
    """A help text or a unit, bounded and fit for the wire."""
    return str(text)[:_MAX_PROSE].encode(errors="replace").decode()
