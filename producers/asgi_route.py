"""The route of an ASGI request, as Starlette and FastAPI leave it in the scope; for others its path without ids.

scope["route"].path                 Starlette; FastAPI's own routes
scope["fastapi"][…].path            FastAPI, a route of an included router: with the router's prefix
scope["endpoint"]                   older Starlette: the route is looked for
scope["root_path"]                  grows by what each mount has taken
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from monitoring.producers.route import NO_ROUTE, folded

__all__ = ["path_of", "route_of"]

Scope = MutableMapping[str, Any]


def path_of(scope: Scope) -> str:
    """The path within the application: servers give it with the path that the application is mounted at."""
    path: str = scope.get("path", "")
    root: str = scope.get("root_path", "")
    if root and path.startswith(f"{root.rstrip('/')}/"):
        return path[len(root.rstrip("/")) :]
    return path


def route_of(scope: Scope, root_path: str, status: int) -> str:
    """The route in the application's own notation, behind its mounts and the path that it is mounted at itself.

    `root_path` is the scope's before the application changed it.
    """
    route = scope.get("route") or _searched(scope)
    path = _path(scope, route)
    if path is None:
        unmatched = "router" in scope or status == 404
        return NO_ROUTE if unmatched else folded(f"{root_path}{path_of(scope)}") or "/"
    reached: str = scope.get("root_path", "")
    if not reached:
        return path
    return f"{folded(root_path)}{_mounts(scope, route, reached.removeprefix(root_path))}{path}"


def _path(scope: Scope, route: Any) -> str | None:
    """The template of what matched last, below its mounts."""
    if route is None:
        return None
    included = scope.get("fastapi", {}).get("effective_route_context")
    if included is not None and getattr(included, "original_route", None) is route:
        return str(included.path)
    if hasattr(route, "routes"):  # a mount, and what is mounted there has no routes: files, or somebody's application
        return "/{path}"
    path = getattr(route, "path", None)
    return path if isinstance(path, str) else None


def _mounts(scope: Scope, route: Any, reached: str) -> str:
    """The mounts' path with their parameters by name. They match text, so values are found as they stand."""
    own = getattr(route, "param_convertors", {})
    values = {str(value): name for name, value in scope.get("path_params", {}).items() if name not in own}
    return folded("/".join(f"{{{values[part]}}}" if part in values else part for part in reached.split("/")))


def _searched(scope: Scope) -> Any:
    endpoint, router = scope.get("endpoint"), scope.get("router")
    if endpoint is None or router is None:
        return None
    return next((route for route in _below(router) if getattr(route, "endpoint", None) is endpoint), None) or next(
        (route for route in _below(router) if getattr(route, "app", None) is endpoint), None
    )


def _below(router: Any, depth: int = 8) -> Iterator[Any]:
    for route in getattr(router, "routes", None) or ():
        yield route
        if depth and hasattr(route, "routes"):
            yield from _below(route, depth - 1)
