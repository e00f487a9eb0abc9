"""The names under which the usual loggers write the same things.

Each role lists its names in order of preference: of several that are present, the first usable one fills
the field and the others stay attributes. A dotted name also matches the nested form (`log.level` is
`{"log": {"level": …}}`). Collected from the default output of: logging with python-json-logger, structlog,
loguru, logrus, zap, zerolog, slog, tracing (Rust), pino, bunyan, winston, log4j2, logback, Serilog (CLEF),
NLog, GELF, Elastic Common Schema, OpenTelemetry, Google Cloud, Datadog, MongoDB.
"""

from __future__ import annotations

__all__ = ["CONTAINERS", "MERGED", "NESTED_ROLES", "ROLES", "TWINS"]

ROLES: dict[str, tuple[str, ...]] = {
    "timestamp": (
        "timestamp", "@timestamp", "ts", "time", "@t", "eventTime", "event_time", "asctime", "datetime", "date", "t",
        "timeUnixNano", "time_unix_nano", "observedTimeUnixNano", "observed_timestamp", "timeMillis", "epoch",
        "timestamp_ns", "timestamp_ms", "instant", "log_time", "logged_at", "created_at", "created",
    ),
    "level": (
        "level", "severity", "levelname", "lvl", "log.level", "severityNumber", "SeverityNumber", "severity_number",
        "severityText", "SeverityText", "severity_text", "loglevel", "log_level", "logLevel", "level_name", "@l",
        "levelno", "level_value", "syslog.severity", "log.syslog.severity.code",
    ),
    "service": (
        "service", "service.name", "service_name", "serviceName", "app", "application", "app_name", "appname",
        "application_name", "Application", "dd.service", "otelServiceName", "serviceContext.service",
    ),
    "environment": (
        "environment", "env", "deployment.environment.name", "deployment.environment", "service.environment",
        "dd.env", "deployment_environment",
    ),
    "release": ("release", "service.version", "app_version", "service_version", "dd.version", "serviceContext.version"),
    "logger": (
        "logger", "logger_name", "logger.name", "loggerName", "log.logger", "name", "SourceContext", "category",
        "target", "component", "scope.name", "instrumentation_scope",
    ),
    "host": ("host", "hostname", "host.name", "host_name", "hostName", "source_host", "@source_host"),
    "message": (
        "message", "msg", "@m", "short_message", "event", "log", "body", "text", "Body", "textPayload", "MESSAGE",
        "@mt", "@message",
    ),
    "trace_id": (
        "trace_id", "traceId", "trace.id", "traceID", "TraceId", "dd.trace_id", "otelTraceID", "@tr",
        "logging.googleapis.com/trace", "trace", "x_trace_id", "X-Trace-Id",
    ),
    "span_id": (
        "span_id", "spanId", "span.id", "spanID", "SpanId", "dd.span_id", "otelSpanID", "@sp",
        "logging.googleapis.com/spanId",
    ),
    "request_id": (
        "request_id", "requestId", "request.id", "requestID", "req_id", "reqId", "x-request-id", "x_request_id",
        "X-Request-ID", "X-Request-Id", "http.request.id", "correlation_id", "correlationId", "x-correlation-id",
        "RequestId",
    ),
    "exception": (
        "exception", "exc_info", "exc_text", "error.stack_trace", "error.stack", "exception.stacktrace",
        "exception.stack_trace", "stack_trace", "stacktrace", "stackTrace", "stack", "traceback", "@x", "thrown", "err",
        "error", "full_message",
    ),
}  # fmt: skip
"""Field of an event -> names, best first."""

CONTAINERS = frozenset(
    {
        "log", "logger", "service", "host", "trace", "span", "transaction", "request", "resource", "scope",
        "deployment", "dd", "serviceContext", "syslog",
    }
)  # fmt: skip
"""Names whose nested form is opened one level where that fills a role: `{"trace": {"id": …}}`."""

MERGED = ("attributes", "extra", "fields", "context", "mdc", "contextMap", "attr", "jsonPayload")
"""Objects whose members become attributes of the event itself."""

_SAFE_INSIDE: dict[str, tuple[str, ...]] = {
    "trace_id": tuple(name for name in ROLES["trace_id"] if name != "trace"),
    "span_id": ROLES["span_id"],
    "request_id": ROLES["request_id"],
    "service": ("service.name",),
    "environment": ("deployment.environment.name", "deployment.environment"),
    "release": ("service.version",),
    "message": ("message", "msg"),
    "exception": ("exception", "exc_info", "exception.stacktrace", "stack_trace", "stacktrace"),
}

NESTED_ROLES: dict[str, str] = {name: role for role, names in _SAFE_INSIDE.items() for name in names}
"""Names that fill a role also from inside a merged object, where the top level left it empty.

Fewer than at the top: `{"extra": {"name": "Ann"}}` is not a logger.
"""

TWINS = frozenset(
    {"levelno", "level_value", "severityText", "SeverityText", "severity_text", "severityNumber", "SeverityNumber",
     "severity_number", "level_name"}
)  # fmt: skip
"""Second spellings of a level, dropped where another name gave it."""
