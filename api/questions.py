"""`GET /api/v1/metrics/queries`: questions of metrics that have a name, for dashboards to draw."""

from __future__ import annotations

from monitoring.api.routes import Answer, Call, Route
from monitoring.pipeline.query.named import NAMED

__all__ = ["ROUTES", "named"]


def named(call: Call) -> Answer:
    """Questions of metrics by their names: what each tells, its PromQL and its unit."""
    return {"queries": [{"name": name, **query._asdict()} for name, query in NAMED.items()]}


ROUTES = (Route("GET", "/api/v1/metrics/queries", "viewer", named),)
