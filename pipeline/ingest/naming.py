"""Names of metrics and labels as Prometheus has them, from what others call them. Pure.

Source: OpenTelemetry's "Prometheus and OpenMetrics compatibility" (metric metadata, units, attributes). A counter's
`_total` and a histogram's `_bucket` and so on are no part of our names: the kind implies them.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["label_name", "label_names", "metric_name", "unit_words"]

_NOT_NAME = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_LABEL = re.compile(r"[^a-zA-Z0-9_]")
_RUN = re.compile(r"_+")
_ANNOTATION = re.compile(r"\{[^}]*\}")
_UNITS = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "us": "microseconds",
    "ns": "nanoseconds", "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes",
    "TiBy": "tibibytes", "KBy": "kilobytes", "kBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes",
    "TBy": "terabytes", "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams",
    "Cel": "celsius", "Hz": "hertz", "%": "percent",
}  # fmt: skip
_PER = {"s": "second", "m": "minute", "min": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_REMEMBERED = 4096


def unit_words(unit: str, *, ratio: bool) -> list[str]:
    """The words that a UCUM unit adds to a name: `By/s` is ["bytes", "per", "second"], `{requests}` nothing.

    `ratio`: the unit 1 is one, as it is of a gauge; of anything else it only says that things are counted.
    """
    if unit == "1":
        return ["ratio"] if ratio else []
    main, slash, per = _ANNOTATION.sub("", unit).partition("/")
    words = [_UNITS.get(main.strip(), main.strip())] if main.strip() else []
    if slash and per.strip():
        words += ["per", _PER.get(per.strip(), per.strip())]
    return [word for text in words for word in _NOT_NAME.sub("_", text).split("_") if word]


@lru_cache(maxsize=_REMEMBERED)
def metric_name(name: str, unit: str = "", kind: str = "gauge") -> str:
    """The base name of a metric with its unit; "" where nothing of the name can stay."""
    words = [word for word in _NOT_NAME.sub("_", name).split("_") if word]
    if kind == "counter" and len(words) > 1 and words[-1] == "total":
        words.pop()
    if not words:
        return ""
    added = unit_words(unit, ratio=kind == "gauge")
    if added and words[-len(added) :] != added and not (len(added) == 1 and added[0] in words):
        words += added
    found = "_".join(words)
    return f"_{found}" if found[0].isdigit() else found


@lru_cache(maxsize=_REMEMBERED)
def label_name(name: str) -> str:
    """A label's name: what is no letter, digit or underscore becomes one, runs of them one."""
    found = _RUN.sub("_", _NOT_LABEL.sub("_", name))
    return f"key_{found}" if found[:1].isdigit() else f"key{found}" if found[:1] == "_" else found


def label_names(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Labels of attributes; values of those that come to have one name stand behind each other, as is specified."""
    found: dict[str, str] = {}
    for name, value in sorted(pairs):
        label = label_name(name)
        found[label] = f"{found[label]};{value}" if label in found else value
    return found
