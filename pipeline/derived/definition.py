"""A metric derived from logs, as its owner defines it: which events count, what of them, by which labels. Pure."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, cast

from monitoring.pipeline.errors import PermanentError, QuerySyntaxError
from monitoring.pipeline.query.ast import Node
from monitoring.pipeline.query.fields import is_attribute
from monitoring.pipeline.query.parse import parse

__all__ = ["BOUNDS", "MAX_DEFINITIONS", "MEMBERS", "Definition", "DefinitionInvalid", "definition_of"]

MAX_DEFINITIONS = 100
"""Each is tried on every event that is stored: `docs/metrics.md` says what that costs."""
MEMBERS = ("name", "kind", "query", "field", "labels", "bounds", "help")
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of a histogram that names none: Prometheus' own default, made for seconds."""
_MAX_LABELS = 10
"""Label sets multiply; ten labels of two values are a thousand series already."""
_MAX_BOUNDS = 100
"""Each bound is a series to whoever asks for the histogram."""
_MAX_FIELD = 200
_MAX_HELP = 1000
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,99}")
_NOT_LABEL = re.compile(r"[^a-zA-Z0-9]+")

Kind = Literal["counter", "histogram"]


class DefinitionInvalid(PermanentError):
    """A definition cannot be used: `field` of it is wrong, `fix` says what to write instead."""

    def __init__(self, field: str, problem: str, fix: str = "") -> None:
        super().__init__(f"{field}: {problem}" + (f"; {fix}" if fix else ""))
        self.field, self.problem, self.fix = field, problem, fix


@dataclass(frozen=True, slots=True)
class Definition:
    """`labels` are pairs of the label's name and the field its value comes from.

    A counter counts events, or adds up the numbers of `field` where it has one; a histogram observes each of them.
    """

    name: str
    kind: Kind
    query: str
    node: Node
    field: str
    labels: tuple[tuple[str, str], ...]
    bounds: tuple[float, ...]
    help: str

    @property
    def family(self) -> str:
        """The metric's name without `_total`, which the kind implies."""
        return self.name.removesuffix("_total") if self.kind == "counter" else self.name

    def describe(self) -> dict[str, Any]:
        """As JSON members; `definition_of` reads them."""
        members: dict[str, Any] = {"name": self.name, "kind": self.kind, "query": self.query}
        if self.field:
            members["field"] = self.field
        members["labels"] = [field for _, field in self.labels]
        if self.bounds:
            members["bounds"] = list(self.bounds)
        return members | {"help": self.help}


def definition_of(members: Any) -> Definition:
    """The definition of these JSON or YAML members. Raises DefinitionInvalid."""
    if not isinstance(members, Mapping):
        raise DefinitionInvalid("definition", "is no object", f"known are {', '.join(MEMBERS)}")
    for name in members:
        if name not in MEMBERS:
            near = difflib.get_close_matches(str(name), MEMBERS, 1, 0.6)
            fix = f"did you mean {near[0]}?" if near else f"known are {', '.join(MEMBERS)}"
            raise DefinitionInvalid(str(name)[:80], "there is no such member", fix)
    kind = members.get("kind")
    if kind not in ("counter", "histogram"):
        raise DefinitionInvalid("kind", "is not known", "counter or histogram")
    name = _name(members.get("name"), kind)
    query, node = _query(members.get("query"))
    help_text = _text(members, "help") or f"Derived from logs: {query}"
    return Definition(
        name=name, kind=cast("Kind", kind), query=query, node=node, field=_field(members, kind),
        labels=_labels(members.get("labels"), kind), bounds=_bounds(members.get("bounds"), kind),
        help=help_text[:_MAX_HELP],
    )  # fmt: skip


def _name(name: Any, kind: str) -> str:
    if not isinstance(name, str) or _NAME.fullmatch(name) is None or name == "_total":
        raise DefinitionInvalid("name", "is no name of a metric", "letters, digits, _ and :, no digit first, up to 100")
    if kind == "histogram" and name.endswith(("_bucket", "_sum", "_count")):
        raise DefinitionInvalid("name", "ends in what the histogram adds itself", f"{name.rpartition('_')[0]}")
    return name


def _query(query: Any) -> tuple[str, Node]:
    if not isinstance(query, str):
        raise DefinitionInvalid("query", "is missing", "a search like level:error; * for every event")
    try:
        return query, parse(query)
    except QuerySyntaxError as error:
        raise DefinitionInvalid("query", str(error)) from error


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    if value is not None and not isinstance(value, str):
        raise DefinitionInvalid(name, "is no text")
    return value or ""


def _field(members: Mapping[str, Any], kind: str) -> str:
    field = _text(members, "field")
    if kind == "histogram" and not field:
        raise DefinitionInvalid("field", "is missing", "a numeric attribute like duration_ms")
    if field and (not is_attribute(field) or len(field) > _MAX_FIELD):
        raise DefinitionInvalid("field", f"{field[:40]!r} is no attribute", f"attributes.{field[:40]}, if there is one")
    return field


def _labels(labels: Any, kind: str) -> tuple[tuple[str, str], ...]:
    if labels is None:
        return ()
    if not isinstance(labels, list) or len(labels) > _MAX_LABELS:
        raise DefinitionInvalid("labels", f"is no list of up to {_MAX_LABELS} fields", '["service", "http.route"]')
    found: dict[str, str] = {}
    for field in labels:
        if not isinstance(field, str) or not field or len(field) > _MAX_FIELD or field == "message":
            raise DefinitionInvalid("labels", f"{str(field)[:40]!r} cannot be a label", "a field like service or route")
        name = _label(field)
        if kind == "histogram" and name == "le":
            raise DefinitionInvalid("labels", "le cannot be a label of a histogram: its buckets have it")
        if name in found:
            raise DefinitionInvalid("labels", f"{found[name]} and {field} would both be the label {name}")
        found[name] = field
    return tuple(found.items())


def _label(field: str) -> str:
    """The label of a field: what Prometheus does not allow in a name becomes an underscore."""
    name = _NOT_LABEL.sub("_", field.removeprefix("attributes.")).strip("_") or "value"
    return f"_{name}" if name[0].isdigit() else name


def _bounds(bounds: Any, kind: str) -> tuple[float, ...]:
    if bounds is None:
        return BOUNDS if kind == "histogram" else ()
    if kind != "histogram":
        raise DefinitionInvalid("bounds", "do not go with a counter")
    if not isinstance(bounds, list) or not 0 < len(bounds) <= _MAX_BOUNDS:
        raise DefinitionInvalid("bounds", f"is no list of 1 to {_MAX_BOUNDS} numbers", "[0.1, 0.5, 1]")
    if not all(type(bound) in (int, float) and math.isfinite(bound) and abs(bound) < 1e300 for bound in bounds):
        raise DefinitionInvalid("bounds", "must be numbers; +Inf is always there")
    found = tuple(float(bound) for bound in bounds)
    if any(bound >= following for bound, following in pairwise(found)):
        raise DefinitionInvalid("bounds", "do not rise")
    return found
