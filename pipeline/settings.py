"""Every setting of the product, in one table.

A setting comes from the environment, else it is the default. Nothing else in the product reads the
environment. An unknown `MONITORING_*` name is an error that names its nearest neighbour, because a
misspelt setting that is silently ignored is found at night.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from monitoring.pipeline.errors import SettingsError

__all__ = ["TABLE", "Setting", "Settings", "Value", "default_data_dir", "load", "mask_url", "unknown_names"]

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: environment name, type by its default or `kind`, unit, reason for the default, secret or not.

    `aliases` are other environment names that are read when the first is absent, in order.
    `kind` is "text" | "whole" | "number" | "flag" | "size" (accepts 512mb) | "duration" (accepts 90s, 7d) | "choice"
    | "ages" (names with durations: a=3d,b=12h) | "address" (http:// or https://).
    """

    name: str
    default: Value
    kind: str
    unit: str
    reason: str
    secret: bool = False
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    minimum: float = 0

    @property
    def key(self) -> str:
        """Attribute of `Settings` that holds it: the name without its prefix, in lower case."""
        return self.name.removeprefix("MONITORING_").lower()


TABLE: tuple[Setting, ...] = (
    Setting("MONITORING_DATA_DIR", None, "text", "path",
            "segments, control.db, spool and keys; a local disk. Default: the user data directory"),
    Setting("MONITORING_BUS_URL", None, "text", "url",
            "Redis >= 6.2 or Valkey, or a cluster: redis+cluster://host:port,host:port; else REDIS_URL, else "
            "`monitoring up` starts its own server",
            secret=True, aliases=("REDIS_URL",)),
    Setting("MONITORING_QUEUE_URL", None, "text", "url",
            "the Redis or Valkey that carries RQ's jobs and counts requests. Default: the bus; a cluster cannot, "
            "so one as the bus needs it",
            secret=True),
    Setting("MONITORING_URL", None, "text", "url",
            "address of a monitoring API: a service without access to the bus sends its frames there"),
    Setting("MONITORING_API_KEY", None, "text", "key", "the key that goes with MONITORING_URL", secret=True),
    Setting("MONITORING_HOST", "127.0.0.1", "text", "address", "the API listens on loopback until told otherwise"),
    Setting("MONITORING_PORT", 8321, "whole", "port", "free of well-known services; tcp://… (Kubernetes) is ignored"),
    Setting("MONITORING_SERVICE", None, "text", "name",
            "service of events that name none. Default: the field, key, file or program they come from"),
    Setting("MONITORING_ENVIRONMENT", "", "text", "name", "deployment environment of events that name none"),
    Setting("MONITORING_RELEASE", "", "text", "version", "release of events that name none"),
    Setting("MONITORING_SPOOL_DIR", None, "text", "path",
            "where frames are fsynced before they are sent (A1). Default: no spool in an SDK"),
    Setting("MONITORING_DURABILITY", "memory", "choice", "",
            "memory: buffer only; spool: fsync first, shed when full; required: fsync first, raise when full",
            choices=("memory", "spool", "required")),
    Setting("MONITORING_PARTITIONS", 2, "whole", "partitions",
            "of the logs; one drain a partition at a time, so as many as cores. Read when the catalog is made",
            minimum=1),
    Setting("MONITORING_BUFFER_EVENTS", 100_000, "whole", "events",
            "an SDK's memory while the bus is away: 100,000 of 340 bytes are about 80 MB in Python", minimum=100),
    Setting("MONITORING_BUFFER_BYTES", 64 << 20, "size", "bytes", "the same bound by text bytes", minimum=1 << 16),
    Setting("MONITORING_FLUSH_INTERVAL", 0.2, "duration", "seconds",
            "how long an event waits for company; a fifth of the second it may take to be searchable", minimum=0.01),
    Setting("MONITORING_FRAME_EVENTS", 1000, "whole", "events",
            "the bus costs 0.7 us an event at 1,000 a frame and little less beyond", minimum=1),
    Setting("MONITORING_BUS_MEMORY", 512 << 20, "size", "bytes",
            "maxmemory of the embedded server; publishers stop at half: about a million events of backlog",
            minimum=16 << 20),
    Setting("MONITORING_STREAM_LENGTH", 100_000, "whole", "frames",
            "length cap of a stream: publishers stop there even where maxmemory is unlimited", minimum=16),
    Setting("MONITORING_BATCH_EVENTS", 10_000, "whole", "events",
            "most rows a commit: beyond it the cost an event is flat, below it fsync shows", minimum=1),
    Setting("MONITORING_DRAIN_SLICE", 30.0, "duration", "seconds",
            "a drain job's life: an RQ job costs 17 ms, so 0.06 %; also how soon partitions rebalance", minimum=0.1),
    Setting("MONITORING_DRAIN_RATE", 0, "whole", "events a second",
            "of logs that a drain writes at most, so that a flood leaves CPU and disk to others; 0 is no limit"),
    Setting("MONITORING_STORE", "sqlite", "text", "url",
            "where events lie: sqlite is files of the data directory; or clickhouse://user:password@host:8123/database",
            secret=True),
    Setting("MONITORING_CLICKHOUSE_CLUSTER", "", "text", "name",
            "a cluster of ClickHouse servers: replicated tables, and one that is distributed over them"),
    Setting("MONITORING_SEGMENT_EVENTS", 1_000_000, "whole", "events",
            "a segment rolls over here: index merges cost more with size (10 -> 17 us from 1 to 10 million)",
            minimum=100),
    Setting("MONITORING_SEGMENT_BYTES", 1 << 30, "size", "bytes", "or here, for large events", minimum=1 << 20),
    Setting("MONITORING_SEGMENT_AGE", 86_400.0, "duration", "seconds",
            "or at this age, so that retention has whole files to delete", minimum=1),
    Setting("MONITORING_RETENTION_AGE", 30 * 86_400.0, "duration", "seconds",
            "older segments are deleted; 0 keeps all"),
    Setting("MONITORING_RETENTION_BYTES", 20 << 30, "size", "bytes",
            "the oldest segments go when all together are larger; 0 keeps all"),
    Setting("MONITORING_RETENTION_SERVICES", "", "ages", "services",
            "events of these services go sooner, like `staging=3d,debug=12h`: nobody looks up last month's tests"),
    Setting("MONITORING_METRICS_RETENTION_AGE", 7 * 86_400.0, "duration", "seconds",
            "older segments of metrics are deleted; 0 keeps all"),
    Setting("MONITORING_METRICS_RETENTION_AGE_1M", 30 * 86_400.0, "duration", "seconds",
            "older roll-ups of metrics by minute are deleted; 0 keeps all"),
    Setting("MONITORING_METRICS_RETENTION_AGE_1H", 400 * 86_400.0, "duration", "seconds",
            "older roll-ups of metrics by hour are deleted: last year's month beside this one; 0 keeps all"),
    Setting("MONITORING_METRICS_RETENTION_BYTES", 5 << 30, "size", "bytes",
            "the oldest segments of metrics go when all of these together are larger; 0 keeps all"),
    Setting("MONITORING_HISTORY_AGE", 400 * 86_400.0, "duration", "seconds",
            "how long the audit log and the histories of alerts that ended are kept: last year's beside this one; "
            "30 days at least", minimum=30 * 86_400),
    Setting("MONITORING_DISK_RESERVE", 256 << 20, "size", "bytes",
            "drains stop before the disk is full, so that commits and roll-overs in progress can end"),
    Setting("MONITORING_QUERY_TIMEOUT", 10.0, "duration", "seconds", "a query answers `partial` past it", minimum=0.05),
    Setting("MONITORING_SPOOL_BYTES", 1 << 30, "size", "bytes", "bound of a spool directory", minimum=1 << 20),
    Setting("MONITORING_MAX_BODY", 32 << 20, "size", "bytes",
            "largest HTTP body, compressed or not; larger ones are answered 413", minimum=1 << 10),
    Setting("MONITORING_SESSION_LIFETIME", 7 * 86_400.0, "duration", "seconds",
            "how long a browser stays logged in: people come back on Monday, and a lost laptop does not stay in",
            minimum=60),
    Setting("MONITORING_PROXY_ADDRESSES", "", "text", "networks",
            "reverse proxies that are believed who asks and from where, like `10.0.0.5,192.168.1.0/24`. Default: none"),
    Setting("MONITORING_PROXY_USER_HEADER", "X-Forwarded-User", "text", "header",
            "where those proxies name the user that they have logged in; nobody else may send it"),
    Setting("MONITORING_PROXY_ROLES", "*=viewer", "text", "roles",
            "what such users may: `alice=admin,bob=operator,*=viewer`; without `*`, nobody else may anything"),
    Setting("MONITORING_CORS_ORIGINS", "", "text", "origins",
            "pages of other sites that may call the API with a key, like `https://tools.example.org`. Default: none"),
    Setting("MONITORING_RATE_KEY", 30_000, "whole", "requests a minute",
            "of one key, session or user: 500 a second is half of what one process answers; 0 is no limit"),
    Setting("MONITORING_RATE_ADDRESS", 60_000, "whole", "requests a minute",
            "of one address, whatever keys it has: an office behind one; 0 is no limit"),
    Setting("MONITORING_RATE_FAILED", 120, "whole", "failures a minute",
            "of one address with keys that are not good, then 429: two agents that were forgotten; 0 is no limit"),
    Setting("MONITORING_API_LOG", "trouble", "choice", "",
            "which requests of the API are events of the service `monitoring-api`: trouble: those that failed, or took "
            "half of the query timeout; changes: who changes something, too; all: all but ingest; off: nothing",
            choices=("off", "trouble", "changes", "all")),
    Setting("MONITORING_WORKERS", 1, "whole", "processes", "drain workers that `monitoring up` starts"),
    Setting("MONITORING_CAPTURE_LOGGING", True, "flag", "",
            "an SDK publishes what the standard library's loggers log, too"),
    Setting("MONITORING_CONSOLE", "auto", "choice", "",
            "whether an SDK writes events to standard error, as well: auto does where LOG_FORMAT is set or it is a "
            "terminal", choices=("auto", "on", "off")),
    Setting("MONITORING_METRICS_INTERVAL", 10.0, "duration", "seconds",
            "how often an SDK sends what its metrics have gained: the store's finest window", minimum=0.1),
    Setting("MONITORING_COLLECTORS", "process,system,gpu", "text", "names",
            "what an SDK measures by itself, of process, system and gpu (these two once a host); `none` for nothing"),
    Setting("MONITORING_COLLECT_INTERVAL", 30.0, "duration", "seconds",
            "how often: a sample of the whole host costs a few milliseconds", minimum=0.1),
    Setting("MONITORING_SLOW_REQUEST", 1.0, "duration", "seconds",
            "a request that takes longer is logged at WARNING; people notice a second"),
    Setting("MONITORING_REQUEST_EXCLUDE",
            "/health,/healthz,/livez,/readyz,/ping,/metrics,/favicon.ico,/robots.txt,/static/*,/assets/*",
            "text", "paths", "requests that are not logged unless they fail: probes and static files; * at the end "
            "stands for anything"),
    Setting("MONITORING_REQUEST_SAMPLE", "", "text", "rates",
            "part of the requests to log, by route: `/api/items/*=0.1,*=0.5`; errors and slow ones always are. "
            "Default: all"),
    Setting("MONITORING_CAPTURE_BODIES", False, "flag", "",
            "request and response bodies of text types are logged: they hold what nobody expects"),
    Setting("MONITORING_BODY_BYTES", 4 << 10, "size", "bytes", "of a body that is logged"),
    Setting("MONITORING_REDACT_KEYS", "", "text", "names",
            "more names whose values are hidden before anything leaves the process, separated by commas"),
    Setting("MONITORING_REDACT_PATTERNS", "", "text", "patterns",
            "more shapes to hide, one `kind=RE2 pattern` a line; a group named secret is what is hidden, else all"),
    Setting("MONITORING_REDACT_ALLOW", "", "text", "patterns",
            "RE2 patterns, one a line: a name or text that one matches whole is not hidden"),
    Setting("MONITORING_LLM_PRICES", None, "text", "path",
            "a JSON file with prices of models, in place of the built-in table"),
    Setting("MONITORING_RULES_DIR", None, "text", "path",
            "YAML files with alert rules, read again when they change. Default: rules in the data directory"),
    Setting("MONITORING_DERIVED_FILE", None, "text", "path",
            "a YAML file that defines metrics derived from logs, read again when it changes"),
    Setting("MONITORING_PUBLIC_URL", None, "address", "url",
            "where people reach the dashboard: links in notifications begin so. Default: host and port of the API"),
    Setting("MONITORING_ALLOW_PRIVATE_WEBHOOKS", False, "flag", "",
            "webhooks may go to private and loopback addresses: who edits channels can then reach inner services"),
    Setting("MONITORING_HEARTBEAT_URL", None, "text", "webhook",
            "pinged each minute while all is well: a service elsewhere that misses it knows that nobody watches here",
            secret=True),
    Setting("ENABLE_EMAIL_ALERTS", False, "flag", "", "the channel `email`, of the names below, exists"),
    Setting("SMTP_SERVER", None, "text", "host", "mail server of the channel `email`"),
    Setting("SMTP_PORT", 587, "whole", "port", "587: submission with STARTTLS; 465: TLS from the start", minimum=1),
    Setting("SMTP_USERNAME", None, "text", "name", "where the mail server wants a login"),
    Setting("SMTP_PASSWORD", None, "text", "password", "that goes with SMTP_USERNAME", secret=True),
    Setting("ALERT_FROM_EMAIL", None, "text", "address", "sender of the channel `email`. Default: SMTP_USERNAME"),
    Setting("ALERT_TO_EMAILS", "", "text", "addresses", "who gets the mails of the channel `email`, with commas"),
    Setting("ENABLE_SLACK_ALERTS", False, "flag", "", "the channel `slack`, of the name below, exists"),
    Setting("SLACK_WEBHOOK_URL", None, "text", "webhook", "incoming webhook of the channel `slack`; it is a secret",
            secret=True),
    Setting("MONITORING_FAILPOINT_DIR", None, "text", "path",
            "for fault tests only: a process that passes a failpoint whose file stands here consumes it and dies"),
    Setting("LOG_LEVEL", "INFO", "choice", "", "level of the product's own log on standard error",
            choices=("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "FATAL")),
    Setting("LOG_FORMAT", "text", "choice", "", "text for people, json for machines", choices=("text", "json")),
)  # fmt: skip

_BY_NAME = {setting.name: setting for setting in TABLE}
_BY_KEY = {setting.key: setting for setting in TABLE}
_SIZES = {"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "g": 1 << 30, "gb": 1 << 30,
          "t": 1 << 40, "tb": 1 << 40}  # fmt: skip
_DURATIONS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*", re.IGNORECASE)
_FLAGS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}


class Settings:
    """The settings in force, as attributes named without their prefix (`settings.data_dir`, `settings.port`).

    `source(key)` tells where one came from: "default" or the environment's name.
    """

    def __init__(self, values: Mapping[str, Value], sources: Mapping[str, str]) -> None:
        self._values = dict(values)
        self._sources = dict(sources)

    def __getattr__(self, key: str) -> Value:
        try:
            return self.__dict__["_values"][key]  # type: ignore[no-any-return]  # a Value
        except KeyError:
            raise AttributeError(f"no setting {key}") from None

    def text(self, key: str) -> str:
        """A text setting; "" where it is unset."""
        return str(self._values[key] or "")

    def whole(self, key: str) -> int:
        """A count, port or size."""
        return int(self._values[key] or 0)

    def number(self, key: str) -> float:
        """A duration in seconds."""
        return float(self._values[key] or 0)

    def flag(self, key: str) -> bool:
        """A setting that is true or false."""
        return bool(self._values[key])

    def names(self, key: str) -> tuple[str, ...]:
        """A text setting that lists names, separated by commas."""
        return tuple(name.strip() for name in self.text(key).split(",") if name.strip())

    def ages(self, key: str) -> dict[str, float]:
        """A setting of names with durations, in seconds."""
        return _ages(self.text(key))

    def lines(self, key: str) -> tuple[str, ...]:
        """A text setting with one entry a line."""
        return tuple(line.strip() for line in self.text(key).splitlines() if line.strip())

    def path(self, key: str) -> Path | None:
        """A path setting, `~` expanded; None where it is unset."""
        value = self._values[key]
        return Path(str(value)).expanduser() if value else None

    @property
    def data(self) -> Path:
        """The data directory, absolute."""
        return (self.path("data_dir") or default_data_dir()).absolute()

    def source(self, key: str) -> str:
        """Where the value of `key` comes from."""
        return self._sources[key]

    def replace(self, **changes: Value) -> Settings:
        """A copy with some values set by the caller."""
        unknown = set(changes) - set(self._values)
        if unknown:
            raise SettingsError(f"no setting {sorted(unknown)[0]}")
        return Settings({**self._values, **changes}, {**self._sources, **dict.fromkeys(changes, "argument")})

    def rows(self) -> list[tuple[Setting, str, str]]:
        """Each setting with its value as text (secrets masked) and its source."""
        return [(row, _shown(row, self._values[row.key]), self._sources[row.key]) for row in TABLE]


def _raise(problem: SettingsError) -> None:
    raise problem


def load(environ: Mapping[str, str] | None = None, *, on_problem: Callable[[SettingsError], None] = _raise) -> Settings:
    """The settings of an environment (default: this process's).

    Raises SettingsError for an unknown name and for a value that cannot be used; where `on_problem` is given and
    returns, the name is passed over and the default taken for the value.
    """
    environ = os.environ if environ is None else environ
    for name, nearest in unknown_names(environ):
        hint = f"; did you mean {nearest}?" if nearest else "; `monitoring config` lists all"
        on_problem(SettingsError(f"{name} is not a setting{hint}"))
    values: dict[str, Value] = {}
    sources: dict[str, str] = {}
    for row in TABLE:
        name = next((name for name in (row.name, *row.aliases) if environ.get(name)), "")
        text = environ.get(name, "")
        if name == "MONITORING_PORT" and "://" in text:
            name = ""  # Kubernetes injects MONITORING_PORT=tcp://… for a service called "monitoring"
        values[row.key], sources[row.key] = row.default, "default"
        if name:
            try:
                values[row.key], sources[row.key] = _parse(row, name, text), name
            except SettingsError as problem:
                on_problem(problem)
    return Settings(values, sources)


def unknown_names(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """The `MONITORING_*` names that are no setting, each with its nearest known name or ""."""
    return [
        (name, _nearest(name))
        for name in sorted(environ)
        if name.startswith("MONITORING_") and name not in _BY_NAME and not _kubernetes(name, environ[name])
    ]


def _nearest(name: str) -> str:
    """By the part behind the prefix, which all names share."""
    import difflib  # 3 ms that a service with right names need not pay

    found = difflib.get_close_matches(name.removeprefix("MONITORING_").lower(), _BY_KEY, 1, 0.6)
    return _BY_KEY[found[0]].name if found else ""


def _kubernetes(name: str, value: str) -> bool:
    """Whether this is one of the variables that Kubernetes injects for a service called "monitoring"."""
    return bool(re.fullmatch(r"MONITORING_(SERVICE_(HOST|PORT\w*)|PORT_\d+_(TCP|UDP)\w*)", name)) and bool(value)


def _parse(row: Setting, name: str, text: str) -> Value:
    try:
        value = _PARSERS[row.kind](row, text.strip())
    except ValueError as error:
        raise SettingsError(f"{name}={_shown(row, text)}: {error}") from None
    if isinstance(value, int | float) and not isinstance(value, bool) and value < row.minimum:
        raise SettingsError(f"{name}={text}: the least is {row.minimum:.15g} {row.unit}")
    return value


def _quantity(text: str, units: Mapping[str, float], example: str) -> float:
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2].lower() not in units:
        raise ValueError(f"expected a number with a unit, like {example}")
    return float(match[1]) * units[match[2].lower()]


def _ages(text: str) -> dict[str, float]:
    found = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, sign, age = (each.strip() for each in part.rpartition("="))
        if not (name and sign):
            raise ValueError(f"{part!r} is no name with an age, like staging=3d")
        found[name] = _quantity(age, _DURATIONS, "30s, 15m or 7d")
        if found[name] <= 0:
            raise ValueError(f"{part!r} would delete at once: give an age above 0")
    return found


def _checked_ages(row: Setting, text: str) -> str:
    _ages(text)
    return text


def _choice(row: Setting, text: str) -> str:
    for choice in row.choices:
        if choice.lower() == text.lower():
            return choice
    raise ValueError(f"expected one of {', '.join(row.choices)}")


def _flag(row: Setting, text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise ValueError("expected true or false")
    return _FLAGS[text.lower()]


def _whole(row: Setting, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("expected a whole number") from None


def _address(row: Setting, text: str) -> str:
    """An address that browsers go to, and that paths are appended to."""
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0
    except ValueError:  # a port, or an address in brackets, that is none
        whole = False
    if not whole or any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError("expected an address like https://monitoring.example.org")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("expected an address without a login, a query or a fragment: it is shown to people")
    return text


_PARSERS: dict[str, Callable[[Setting, str], Value]] = {
    "text": lambda row, text: text,
    "whole": _whole,
    "size": lambda row, text: int(_quantity(text, _SIZES, "512mb")),
    "duration": lambda row, text: _quantity(text, _DURATIONS, "30s, 15m or 7d"),
    "ages": _checked_ages,
    "address": _address,
    "flag": _flag,
    "choice": _choice,
}


def _shown(row: Setting, value: Value) -> str:
    if value is None or value == "":
        return ""
    if not row.secret:
        return str(value)
    return mask_url(str(value)) if row.unit == "url" else "********"


def mask_url(url: str) -> str:
    """The URL with its password, and every query value, hidden."""
    parts = urlsplit(url)
    netloc = parts.netloc
    if "@" in netloc:
        user, _, host = netloc.rpartition("@")
        netloc = f"{user.partition(':')[0]}:********@{host}"
    query = re.sub(r"=[^&]*", "=********", parts.query)
    return urlunsplit((parts.scheme, netloc, parts.path, query, ""))


def default_data_dir() -> Path:
    """The platform's user data directory for this product."""
    from platformdirs import user_data_path

    return user_data_path("monitoring", appauthor=False)
