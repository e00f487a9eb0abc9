"""What each kind of channel is told: one table of members, their types, and which of them are secrets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Any

from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.targets import parse_target

__all__ = ["KINDS", "MASK", "Field", "check_config", "masked"]

MASK = "********"
"""Shown in place of a secret; sent back, it means: as it was."""
_LONGEST = 2048
_MOST_ITEMS = 100
_ENV_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OWN_HEADERS = {"host", "content-length", "content-type", "connection", "transfer-encoding", "idempotency-key"}
_MAILBOX = re.compile(r"[^\s@<>,;\"()\\]{1,64}@[^\s@<>,;\"()\\]{1,255}")

Check = Callable[[str, Any], None]


@dataclass(frozen=True, slots=True)
class Field:
    """One member of a channel's config. A secret may be a text, or `{"env": "NAME"}`."""

    name: str
    check: Check
    what: str
    required: bool = False
    secret: bool = False


def _text(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value or len(value) > _LONGEST or not value.isprintable():
        raise PermanentError(f"{name}: expected 1 to {_LONGEST} printable characters")


def _url(name: str, value: Any) -> None:
    _text(name, value)
    parse_target(value)


def _apprise(name: str, value: Any) -> None:
    _text(name, value)
    if "://" not in value:
        raise PermanentError(f"{name}: expected a URL as apprise knows it, like ntfy://topic")


def _mailbox(name: str, value: Any) -> None:
    _text(name, value)
    if "," in value or _MAILBOX.fullmatch(parseaddr(value)[1]) is None:
        raise PermanentError(f"{name}: expected an address like ops@example.com or Ops <ops@example.com>")


def _mailboxes(name: str, value: Any) -> None:
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_ITEMS:
        raise PermanentError(f"{name}: expected a list of 1 to {_MOST_ITEMS} addresses")
    for each in value:
        _mailbox(name, each)


def _host(name: str, value: Any) -> None:
    _text(name, value)
    if re.fullmatch(r"[A-Za-z0-9._:-]{1,255}", value) is None:
        raise PermanentError(f"{name}: expected a host name or address")


def _port(name: str, value: Any) -> None:
    if type(value) is not int or not 0 < value < 65536:
        raise PermanentError(f"{name}: expected a port")


def _security(name: str, value: Any) -> None:
    if value not in ("auto", "starttls", "tls", "none"):
        raise PermanentError(f"{name}: expected auto, starttls, tls or none")


def _headers(name: str, value: Any) -> None:
    if not isinstance(value, dict) or len(value) > _MOST_ITEMS:
        raise PermanentError(f"{name}: expected an object of header names and values")
    for header, content in value.items():
        if (
            _HEADER_NAME.fullmatch(header) is None
            or header.lower() in _OWN_HEADERS
            or header.lower()[:13] == "x-monitoring-"
        ):
            raise PermanentError(f"{name}: {header[:60]!r} cannot be set")
        if content != MASK and not (isinstance(content, dict) and _is_env(content)):
            _text(f"{name}.{header}", content)
            if not content.isascii():
                raise PermanentError(f"{name}.{header}: expected ASCII")


def _rate(name: str, value: Any) -> None:
    if type(value) not in (int, float) or not 1 <= value <= 6000:
        raise PermanentError(f"{name}: expected messages a minute, 1 to 6000")


def _deadline(name: str, value: Any) -> None:
    if type(value) not in (int, float) or not 10 <= value <= 7 * 86_400:
        raise PermanentError(f"{name}: expected seconds, 10 to {7 * 86_400}")


_COMMON = (
    Field("rate_per_minute", _rate, "most messages a minute (30)"),
    Field("deadline_seconds", _deadline, "how long a message is tried before it counts as undeliverable (3600)"),
)

KINDS: Mapping[str, tuple[Field, ...]] = {
    "email": (
        Field("server", _host, "mail server", required=True),
        Field("port", _port, "587 with STARTTLS (default), 465 with TLS, 25"),
        Field("security", _security, "auto (default), starttls, tls, none"),
        Field("username", _text, "where the server wants a login"),
        Field("password", _text, "that goes with it", secret=True),
        Field("from", _mailbox, "sender", required=True),
        Field("to", _mailboxes, "recipients", required=True),
        *_COMMON,
    ),
    "slack": (Field("url", _url, "an incoming webhook", required=True, secret=True), *_COMMON),
    "webhook": (
        Field("url", _url, "where to POST", required=True, secret=True),
        Field("secret", _text, "what messages are signed with (HMAC-SHA256)", secret=True),
        Field("headers", _headers, "sent along", secret=True),
        *_COMMON,
    ),
    "apprise": (Field("url", _apprise, "any URL that apprise knows", required=True, secret=True), *_COMMON),
}


def check_config(kind: str, config: Mapping[str, Any]) -> None:
    """Raises PermanentError, which begins with the member's name, for what a channel of this kind cannot have."""
    if kind not in KINDS:
        raise PermanentError(f"kind: expected one of {', '.join(KINDS)}")
    fields = {field.name: field for field in KINDS[kind]}
    for name, value in config.items():
        if name not in fields:
            raise PermanentError(f"config.{str(name)[:60]}: a channel of kind {kind} has {', '.join(fields)}")
        if not (fields[name].secret and isinstance(value, dict) and _is_env(value)):
            fields[name].check(f"config.{name}", value)
    for field in KINDS[kind]:
        if field.required and field.name not in config:
            raise PermanentError(f"config.{field.name}: is needed ({field.what})")


def masked(secrets: Mapping[str, Any]) -> dict[str, Any]:
    """Secrets as they may be shown: hidden, but for the names of variables and headers."""
    return {name: _hidden(value) for name, value in secrets.items()}


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return value if _is_env(value) else {name: _hidden(each) for name, each in value.items()}
    return MASK


def _is_env(value: Mapping[str, Any]) -> bool:
    """Whether this is `{"env": "NAME"}`. Raises PermanentError for a name that must not be read."""
    if set(value) != {"env"} or not isinstance(value["env"], str) or not _ENV_NAME.fullmatch(value["env"]):
        return False
    if value["env"].startswith("MONITORING_") or value["env"] == "REDIS_URL":
        raise PermanentError(f"env: {value['env']} is the product's own and is not sent anywhere")
    return True
