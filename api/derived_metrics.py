"""`/api/v1/derived-metrics`: metrics that are derived from logs. Those of the file are shown, and changed there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from monitoring.api.params import Fields, Json
from monitoring.api.problems import Problem
from monitoring.api.routes import Answer, Call, Route
from monitoring.pipeline.derived.definition import DefinitionInvalid, definition_of
from monitoring.pipeline.store.derived_metrics import DefinedElsewhere, DefinitionExists, DerivedMetric

__all__ = ["ROUTES", "create", "listing", "one", "remove", "save"]

_TEXT = {"type": "string"}
DEFINITION = Fields(
    Json("name", "of the metric", like=_TEXT),
    Json("kind", like={"enum": ["counter", "histogram"]}),
    Json("query", "which events, in the search language", like=_TEXT),
    Json("field", "the numeric attribute that is added up or distributed", like=_TEXT),
    Json("labels", "names of fields", like={"type": "array", "items": _TEXT}),
    Json("bounds", "of a histogram, rising", like={"type": "array", "items": {"type": "number"}}),
    Json("help", like=_TEXT),
)


def listing(call: Call) -> Answer:
    """All definitions in force, by name, and what is wrong with others."""
    found, errors = call.runtime.derived_metrics.all()
    return {"derived_metrics": [each.describe() for each in found], "errors": errors}


def one(call: Call, name: str) -> Answer:
    """One definition."""
    return _found(call.runtime.derived_metrics.get(name)).describe()


def create(call: Call) -> Answer:
    """Derive a metric from the events that are stored from now on, give or take a second."""
    members = DEFINITION.given()
    with _refusals():
        made = call.runtime.derived_metrics.save(definition_of(members), call.actor, replace=False)
    return made.describe(), 201


def save(call: Call, name: str) -> Answer:
    """Define a metric, in place of what had its name; what that counted stays."""
    members = DEFINITION.given()
    known = call.runtime.derived_metrics.get(name)
    call.changed(before=known.describe() if known else None)
    if members.get("name", name) != name:
        raise Problem(400, "is another one than in the address", field="name", fix="leave it out")
    with _refusals():
        definition = definition_of({**members, "name": name})
        return call.runtime.derived_metrics.save(definition, call.actor, replace=True).describe()


def remove(call: Call, name: str) -> Answer:
    """Derive a metric no more; what it counted stays."""
    with _refusals():
        found = _found(call.runtime.derived_metrics.remove(name)).describe()
    call.changed(before=found)
    return found


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except DefinitionInvalid as error:
        raise Problem(400, error.problem, field=error.field, fix=error.fix) from error
    except DefinitionExists as error:
        raise Problem(409, "there is a metric of this name", field="name", fix="PUT replaces it") from error
    except DefinedElsewhere as error:
        raise Problem(409, str(error), field="name", fix="change the file, which is read again by itself") from error


def _found(metric: DerivedMetric | None) -> DerivedMetric:
    if metric is None:
        raise Problem(404, "there is no such metric", field="name", fix="GET /api/v1/derived-metrics lists them")
    return metric


ROUTES = (
    Route("GET", "/api/v1/derived-metrics", "viewer", listing),
    Route("POST", "/api/v1/derived-metrics", "operator", create, audit="derived-metric.create", body=DEFINITION),
    Route("GET", "/api/v1/derived-metrics/<name>", "viewer", one),
    Route("PUT", "/api/v1/derived-metrics/<name>", "operator", save, audit="derived-metric.save", body=DEFINITION),
    Route("DELETE", "/api/v1/derived-metrics/<name>", "operator", remove, audit="derived-metric.remove"),
)
