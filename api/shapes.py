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
_PAGE: Shape = {"complete_through": "text?", "took_ms": "number", "partial?": "object", "hints?": "list"}
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
_TAKEN: Shape = {"accepted": "whole", "rejected": "list", "rejected_not_listed?": "whole"}
_PARTIAL: Shape = {"partialSuccess?": "object"}
_PROMETHEUS: Shape = {"status": "text", "data": "any", "warnings?": "list", "infos?": "list"}
_ALERT: Shape = {
    "id": "text", "rule": "text", "kind": "text", "state": "text", "severity": "text", "labels": "object",
    "value": "number?", "operator": "text", "threshold": "number?", "summary": "text", "description": "text",
    "runbook": "text", "started_at": "text", "active_at": "text?", "updated_at": "text", "resolved_at": "text?",
    "acknowledged_at": "text?", "acknowledged_by": "text?", "flapping": "flag", "held": "text?", "channels": "list",
    "fingerprint": "text", "stale": "flag", "links": "object", "already_acknowledged?": "flag",
}  # fmt: skip
_RULE: Shape = {
    "name": "text", "kind": "text", "expr?": "text", "query?": "text", "condition?": "text", "established?": "text",
    "window?": "text", "group_by?": "list", "operator?": "text", "threshold?": "number?", "recovery?": "number?",
    "lookback?": "text", "for": "text", "interval": "text", "cooldown": "text", "no_data": "text", "severity": "text",
    "labels": "object", "annotations": "object", "channels": "list", "escalation": "list", "inhibited_by": "list",
    "enabled": "flag", "source": "text", "read_only": "flag", "file?": "text", "line?": "whole", "changed_at": "text",
    "changed_by": "text", "status": "object", "warnings": "list",
}  # fmt: skip
_SILENCE: Shape = {
    "id": "text", "matchers": "list", "starts_at": "text", "ends_at": "text", "state": "text", "author": "text",
    "reason": "text", "created_at": "text", "matching?": "whole", "warnings?": "list",
}  # fmt: skip
_WINDOW: Shape = {
    "name": "text", "matchers": "list", "days": "list", "start": "text", "duration": "text", "time_zone": "text",
    "from": "text?", "until": "text?", "reason": "text", "enabled": "flag", "author": "text", "active": "flag",
    "matching?": "whole", "warnings?": "list",
}  # fmt: skip
_CHANNEL: Shape = {
    "name": "text", "kind": "text", "config": "object", "default": "flag", "enabled": "flag", "read_only": "flag",
    "problem": "text?", "created": "text?", "updated": "text?",
}  # fmt: skip
_LETTER: Shape = {
    "id": "text", "created": "text", "kind": "text", "reason": "text", "source": "text", "line": "whole?",
    "lane": "text", "seq": "whole", "replayed": "flag", "raw_bytes": "whole", "raw_encoding": "text", "raw": "text",
}  # fmt: skip
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
    ("POST", "/api/v1/logs"): ("202", _JSON, _TAKEN),
    ("POST", "/api/v1/ingest/raw"): ("202", _JSON, _TAKEN),
    ("POST", "/api/v1/metrics"): ("202", _JSON, _TAKEN),
    ("POST", "/v1/logs"): ("200", _JSON, _PARTIAL),
    ("POST", "/v1/traces"): ("200", _JSON, _PARTIAL),
    ("POST", "/v1/metrics"): ("200", _JSON, _PARTIAL),
    ("POST", "/loki/api/v1/push"): ("204", "", None),
    ("POST", "/prometheus/api/v1/write"): ("204", "", None),
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
    ("GET", "/api/v1/metrics/queries"): ("200", _JSON, {"queries": "list"}),
    **{(method, f"/prometheus/api/v1/{name}"): ("200", _JSON, _PROMETHEUS)
       for method in ("GET", "POST")
       for name in ("query", "query_range", "series", "labels", "query_exemplars", "format_query")},
    **{("GET", f"/prometheus/api/v1/{name}"): ("200", _JSON, _PROMETHEUS)
       for name in ("rules", "alerts", "targets", "status/runtimeinfo", "status/flags")},
    ("GET", "/prometheus/api/v1/label/<name>/values"): ("200", _JSON, _PROMETHEUS),
    ("GET", "/prometheus/api/v1/metadata"): ("200", _JSON, _PROMETHEUS),
    ("GET", "/prometheus/api/v1/status/buildinfo"): ("200", _JSON, _PROMETHEUS),
    ("GET", "/api/v1/alerts"): ("200", _JSON, {"alerts": "list", "counts": "object"}),
    ("GET", "/api/v1/alerts/<identity>"): ("200", _JSON, _ALERT),
    ("GET", "/api/v1/alerts/<identity>/history"): ("200", _JSON, {"history": "list"}),
    ("POST", "/api/v1/alerts/<identity>/acknowledge"): ("200", _JSON, _ALERT),
    ("POST", "/api/v1/alerts/<identity>/resolve"): ("200", _JSON, _ALERT),
    ("POST", "/api/v1/alerts/<identity>/comments"): ("201", _JSON, _ALERT),
    ("GET", "/api/v1/rules"): ("200", _JSON, {"rules": "list", "files": "list"}),
    ("POST", "/api/v1/rules"): ("201", _JSON, _RULE),
    ("POST", "/api/v1/rules/test"): ("200", _JSON, {"rule": "text", "start": "text", "end": "text",
                                                    "step_seconds": "number", "evaluations": "whole",
                                                    "fired": "whole", "firings": "list", "notes": "list", **_PAGE}),
    ("GET", "/api/v1/rules/export"): ("200", _JSON, {"yaml": "text"}),
    ("GET", "/api/v1/rules/<name>"): ("200", _JSON, _RULE),
    ("PUT", "/api/v1/rules/<name>"): ("200", _JSON, _RULE),
    ("DELETE", "/api/v1/rules/<name>"): ("200", _JSON, _RULE),
    ("POST", "/api/v1/rules/<name>/enable"): ("200", _JSON, _RULE),
    ("POST", "/api/v1/rules/<name>/disable"): ("200", _JSON, _RULE),
    ("GET", "/api/v1/silences"): ("200", _JSON, {"silences": "list"}),
    ("POST", "/api/v1/silences"): ("201", _JSON, _SILENCE),
    ("GET", "/api/v1/silences/<identity>"): ("200", _JSON, _SILENCE),
    ("PUT", "/api/v1/silences/<identity>"): ("200", _JSON, _SILENCE),
    ("DELETE", "/api/v1/silences/<identity>"): ("200", _JSON, _SILENCE),
    ("GET", "/api/v1/maintenance-windows"): ("200", _JSON, {"maintenance_windows": "list"}),
    ("PUT", "/api/v1/maintenance-windows/<name>"): ("200", _JSON, _WINDOW),
    ("DELETE", "/api/v1/maintenance-windows/<name>"): ("200", _JSON, _WINDOW),
    ("GET", "/api/v1/channels"): ("200", _JSON, {"channels": "list"}),
    ("POST", "/api/v1/channels"): ("201", _JSON, _CHANNEL),
    ("GET", "/api/v1/channels/<name>"): ("200", _JSON, _CHANNEL),
    ("PUT", "/api/v1/channels/<name>"): ("200", _JSON, _CHANNEL),
    ("DELETE", "/api/v1/channels/<name>"): ("200", _JSON, _CHANNEL),
    ("POST", "/api/v1/channels/<name>/test"): ("2XX", _JSON, {"key": "text", "delivered": "flag?", "said": "text"}),
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
    ("GET", "/api/v1/dead-letters/<letter_id>"): ("200", _JSON, _LETTER),
    ("POST", "/api/v1/dead-letters/<letter_id>/replay"): ("200", _JSON, {"id": "text", "events": "whole",
                                                                         "replayed_before": "flag"}),
    ("GET", "/api/v1/audit"): ("200", _JSON, {"entries": "list", "next_before": "whole?"}),
    ("GET", "/api/v1/audit/export"): ("200", "application/x-ndjson", None),
    ("POST", "/api/v1/maintenance/retention"): ("2XX", _JSON, {"segments": "list", "dry_run": "flag",
                                                               "enqueued": "flag"}),
    ("POST", "/api/v1/maintenance/purge"): ("2XX", _JSON, None),
    ("GET", "/api/v1/maintenance/purge"): ("200", _JSON, {"purges": "list"}),
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
