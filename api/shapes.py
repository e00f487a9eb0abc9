"""What answers look like: of each route its status, media type and the members of its JSON, for OpenAPI.

A test compares each with what the endpoint really answers. Types are written `text`, `whole`, `number`, `flag`, `list`,
`object`, `any`; one with `?` may be null, a member whose name ends in `?` may be absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["SHAPES", "schema_of"]

Shape = Mapping[str, str]
_TYPES = {"text": "string", "whole": "integer", "number": "number", "flag": "boolean", "list": "array",
          "object": "object"}  # fmt: skip

_JSON = "application/json"
_PAGE: Shape = {"complete_through": "text?", "took_ms": "number", "partial?": "object"}
_KEY: Shape = {
    "id": "text", "prefix": "text", "name": "text", "role": "text", "state": "text", "created": "text",
    "expires": "text?", "revoked": "text?", "last_used": "text?", "quota": "whole?",
}  # fmt: skip
_SESSION: Shape = {"name": "text", "role": "text", "csrf": "text", "expires": "text?"}
_DERIVED: Shape = {
    "name": "text",
    "kind": "text",
    "query": "text",
    "field?": "text",
    "labels": "list",
    "bounds?": "list",
    "help": "text",
    "source": "text",
    "changed_at": "text?",
    "changed_by": "text",
}
_SEARCH: Shape = {"name": "text", "query": "text", "saved": "text"}
_EVENT: Shape = {
    "id": "text", "timestamp": "text", "level": "text", "service": "text", "environment": "text", "release": "text",
    "logger": "text", "host": "text", "message": "text", "trace_id": "text", "span_id": "text", "request_id": "text",
    "attributes": "any", "exception": "any",
}  # fmt: skip

SHAPES: Mapping[tuple[str, str], tuple[str, str, Shape | None]] = {
    ("GET", "/"): ("200", "text/html", None),
    ("GET", "/<name>"): ("200", "text/html", None),
    ("GET", "/alerts/<alert_id>"): ("200", "text/html", None),
    ("GET", "/assets/<name>"): ("200", "text/javascript", None),
    ("GET", "/openapi.json"): ("200", _JSON, {"openapi": "text", "info": "object", "servers": "list",
                                              "paths": "object", "components": "object"}),
    ("GET", "/explorer"): ("200", "text/html", None),
    ("GET", "/explorer.js"): ("200", "text/javascript", None),
    ("GET", "/explorer.css"): ("200", "text/css", None),
    ("GET", "/login"): ("303", "", None),
    ("POST", "/api/v1/session"): ("201", _JSON, _SESSION),
    ("GET", "/api/v1/session"): ("200", _JSON, _SESSION),
    ("DELETE", "/api/v1/session"): ("204", "", None),
    ("GET", "/healthz"): ("200", _JSON, {"status": "text"}),
    ("GET", "/readyz"): ("200", _JSON, {"ready": "flag", "checks": "object"}),
    ("GET", "/metrics"): ("200", "text/plain", None),
    ("GET", "/api/v1/status"): ("200", _JSON, {"time": "text", "instance": "text", "drains": "whole",
                                               "totals": "object", "metrics": "object", "rules": "object",
                                               "partitions": "list", "producers": "list",
                                               "producers_not_listed": "whole", "problems": "list"}),
    ("GET", "/api/v1/overview"): ("200", _JSON, {"status": "text", "reasons": "list", "window_seconds": "whole",
                                                 "requests": "object", "system": "object", "alerts": "object?",
                                                 "services": "list", "ingest": "object"}),
    ("POST", "/api/v1/logs"): ("202", _JSON, {"accepted": "whole", "rejected": "list",
                                              "rejected_not_listed?": "whole"}),
    ("GET", "/api/v1/logs"): ("200", _JSON, {"events": "list", "next_cursor": "text?", **_PAGE}),
    ("GET", "/api/v1/logs/histogram"): ("200", _JSON, {"interval_seconds": "number", "buckets": "list", **_PAGE}),
    ("GET", "/api/v1/logs/facets"): ("200", _JSON, {"facets": "list", **_PAGE}),
    ("GET", "/api/v1/logs/stats"): ("200", _JSON, {"rows": "list", "groups": "whole", "approximate": "flag",
                                                   "interval_seconds?": "number", **_PAGE}),
    ("GET", "/api/v1/logs/patterns"): ("200", _JSON, {"patterns": "list", "distinct": "whole", "events": "whole",
                                                      "sampled": "flag", **_PAGE}),
    ("GET", "/api/v1/logs/tail"): ("200", "text/event-stream", None),
    ("GET", "/api/v1/logs/export"): ("200", "application/x-ndjson", None),
    ("GET", "/api/v1/logs/<event_id>"): ("200", _JSON, _EVENT),
    ("GET", "/api/v1/logs/<event_id>/context"): ("200", _JSON, {"before": "list", "event": "object", "after": "list",
                                                                **_PAGE}),
    ("GET", "/api/v1/searches"): ("200", _JSON, {"searches": "list"}),
    ("PUT", "/api/v1/searches/<name>"): ("200", _JSON, _SEARCH),
    ("DELETE", "/api/v1/searches/<name>"): ("200", _JSON, _SEARCH),
    ("GET", "/api/v1/derived-metrics"): ("200", _JSON, {"derived_metrics": "list", "errors": "list"}),
    ("POST", "/api/v1/derived-metrics"): ("201", _JSON, _DERIVED),
    ("GET", "/api/v1/derived-metrics/<name>"): ("200", _JSON, _DERIVED),
    ("PUT", "/api/v1/derived-metrics/<name>"): ("200", _JSON, _DERIVED),
    ("DELETE", "/api/v1/derived-metrics/<name>"): ("200", _JSON, _DERIVED),
    ("GET", "/api/v1/frames"): ("200", _JSON, {"partitions?": "object", "present?": "flag"}),
    ("POST", "/api/v1/frames"): ("202", _JSON, {"ids": "list", "low": "whole", "full": "flag"}),
    ("PUT", "/api/v1/frames"): ("204", "", None),
    ("GET", "/api/v1/keys"): ("200", _JSON, {"keys": "list"}),
    ("POST", "/api/v1/keys"): ("201", _JSON, {"key": "text", **_KEY}),
    ("DELETE", "/api/v1/keys/<identity>"): ("200", _JSON, _KEY),
    ("GET", "/api/v1/dead-letters"): ("200", _JSON, {"dead_letters": "list", "total": "whole"}),
    ("GET", "/api/v1/audit"): ("200", _JSON, {"entries": "list", "next_before": "whole?"}),
    ("GET", "/api/v1/audit/export"): ("200", "application/x-ndjson", None),
    ("POST", "/api/v1/maintenance/retention"): ("2XX", _JSON, {"segments": "list", "dry_run": "flag",
                                                               "enqueued": "flag"}),
}  # fmt: skip


def schema_of(shape: Shape) -> dict[str, Any]:
    """JSON Schema of a shape."""
    return {
        "type": "object",
        "properties": {name.removesuffix("?"): _type(kind) for name, kind in shape.items()},
        "required": [name for name in shape if not name.endswith("?")],
    }


def _type(kind: str) -> dict[str, Any]:
    if kind == "any":
        return {}
    name = _TYPES[kind.removesuffix("?")]
    return {"type": [name, "null"] if kind.endswith("?") else name}
