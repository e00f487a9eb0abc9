"""`GET /openapi.json`: the description of all of this, out of the table of routes.

Parameters and bodies are described by the declarations that check them, roles and addresses by the routes that are
served; the rest is what their docstrings say.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

from monitoring.api.auth import SAFE_METHODS
from monitoring.api.params import Fields, Form, Member, described
from monitoring.api.problems import TITLES
from monitoring.api.routes import Answer, Body, Call, Route
from monitoring.api.shapes import SHAPES, schema_of

__all__ = ["ROUTES", "describe", "document"]

VERSION = "1"
"""Of the API, as in /api/v1; a release may add to it and takes nothing away."""
_DESCRIPTION = (
    "Bearer keys have a role: ingest < viewer < operator < admin. Errors are RFC 9457 problem documents. Query "
    "parameters that are not described are refused."
)
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "field": {"type": "string"},
        "column": {"type": "integer"},
        "fix": {"type": "string"},
        "request_id": {"type": "string"},
    },
}


def document(call: Call) -> Answer:
    """The description of all addresses, OpenAPI 3.1."""
    return describe(call.routes, call.base)


def describe(routes: Sequence[Route], base: str = "/") -> dict[str, Any]:
    """The OpenAPI document of the routes, served under this prefix."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, path)
    return {
        "openapi": "3.1.0",
        "info": {"title": "monitoring", "version": VERSION, "description": _DESCRIPTION},
        "servers": [{"url": base.rstrip("/") or "/"}],
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "monitoring_session"},
            },
        },
    }


def _operation(route: Route, path: str) -> dict[str, Any]:
    prose = inspect.getdoc(route.endpoint) or ""
    found: dict[str, Any] = {
        "operationId": route.name,
        "summary": prose.partition("\n")[0],
        "tags": [_tag(path)],
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
              for name in re.findall(r"{(\w+)}", path)),
            *map(_parameter, route.params),
        ],
        "responses": _responses(route),
    }  # fmt: skip
    if "\n\n" in prose:
        found["description"] = prose.partition("\n\n")[2]
    if route.role is not None:
        found |= {"security": [{"key": []}, {"session": []}], "x-role": route.role}
    if route.body is not None:
        found["requestBody"] = _body(route.body)
    return found


def _tag(path: str) -> str:
    parts = path.removeprefix("/api/v1").split("/")
    return parts[1] if len(parts) > 1 and parts[1] else "pages"


def _parameter(name: str) -> dict[str, Any]:
    declared = described(name) if isinstance(name, Member) else {"type": "string"}
    prose = {"description": declared.pop("description")} if "description" in declared else {}
    required = isinstance(name, Member) and name.required
    return {"name": str(name), "in": "query", "required": required, "schema": declared, **prose}


def _body(body: Body) -> dict[str, Any]:
    if isinstance(body, Fields):
        return {"required": not body.optional, "content": {"application/json": {"schema": body.schema()}}}
    if isinstance(body, Form):
        return {"required": False, "content": {"application/x-www-form-urlencoded": {"schema": body.schema()}}}
    return {"required": True, "content": {media: {} for media in body}}


def _responses(route: Route) -> dict[str, Any]:
    status, media, shape = SHAPES.get((route.method, route.path), ("2XX", "application/json", None))
    content = {} if not media else {"content": {media: {"schema": schema_of(shape)} if shape is not None else {}}}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    refusals = [400, *([401, 403, 429] if route.role else []), *([404] if "<" in route.path else [])]
    refusals += [413] if route.method not in SAFE_METHODS else []
    return {
        status: {"description": "Done" if status != "303" else "Go there", **content},
        **{str(code): {"description": TITLES[code][1], "content": problem} for code in refusals},
        "default": {"description": "It did not work", "content": problem},
    }


ROUTES = (Route("GET", "/openapi.json", None, document),)
