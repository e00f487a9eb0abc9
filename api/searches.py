"""`/api/v1/searches`: queries by a name, shared by all who may read."""

from __future__ import annotations

from monitoring.api.params import Fields, Text
from monitoring.api.problems import Problem
from monitoring.api.routes import Answer, Call, Route
from monitoring.pipeline.errors import PermanentError, QuerySyntaxError

__all__ = ["ROUTES", "listing", "remove", "save"]


SAVE = Fields(Text("query", "in the search language, like level:error", required=True))


def listing(call: Call) -> Answer:
    """All saved searches, by name."""
    return {"searches": [search.describe() for search in call.runtime.searches.all()]}


def save(call: Call, name: str) -> Answer:
    """Save a query by a name, in place of what had it."""
    query = SAVE.read()["query"]
    try:
        known = call.runtime.searches.get(name)
        call.changed(before=known.describe() if known else None)
        return call.runtime.searches.save(name, query).describe()
    except QuerySyntaxError:
        raise
    except PermanentError as error:
        raise Problem(400, str(error), field="name") from error


def remove(call: Call, name: str) -> Answer:
    """Forget a saved search."""
    found = call.runtime.searches.remove(name)
    if found is None:
        raise Problem(404, "there is no such search", field="name", fix="GET /api/v1/searches lists them")
    call.changed(before=found.describe())
    return found.describe()


ROUTES = (
    Route("GET", "/api/v1/searches", "viewer", listing),
    Route("PUT", "/api/v1/searches/<name>", "operator", save, audit="search.save", body=SAVE),
    Route("DELETE", "/api/v1/searches/<name>", "operator", remove, audit="search.remove"),
)
