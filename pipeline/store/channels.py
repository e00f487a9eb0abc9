"""Channels: where notifications go, in control.db; those of the environment beside them.

The seed's names (ENABLE_EMAIL_ALERTS, …) make the channels `email` and `slack`, which are read-only here. Secrets are
sealed at rest (secret_box.py) or taken from the environment, and are never shown again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from monitoring.pipeline.clock import NowNs, rfc3339, wall_ns
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.channel_kinds import KINDS, MASK, check_config, masked
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.secret_box import SecretBox
from monitoring.pipeline.targets import why_literal_refused

__all__ = ["OF_ENVIRONMENT", "Channel", "Channels", "ReadOnly"]

MAX_CHANNELS = 200
"""Kept at a time: a team's, with room; they are read whole."""
RATE_PER_MINUTE = 30.0
"""Slack takes about one message a second from a webhook; people read less than that."""
DEADLINE_SECONDS = 3600.0
"""Then a notice counts as undeliverable, which raises an alert of its own through another channel."""
OF_ENVIRONMENT = ("email", "slack")
"""What the seed's names may make: another process may see them that this one does not."""
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}")


class ReadOnly(PermanentError):
    """A channel of the environment: it is changed there."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A named way to people. Times are nanoseconds since 1970, 0 for a channel of the environment.

    `config` holds what may be shown, `secrets` what may not; `problem` says why nothing can be sent, or is empty.
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    secrets: Mapping[str, Any] = field(repr=False)
    default: bool
    enabled: bool
    created: int
    updated: int
    read_only: bool = False
    problem: str = ""

    @property
    def rate_per_minute(self) -> float:
        """Most messages a minute."""
        return float(self.config.get("rate_per_minute", RATE_PER_MINUTE))

    @property
    def deadline_seconds(self) -> float:
        """How long a message is tried."""
        return float(self.config.get("deadline_seconds", DEADLINE_SECONDS))

    def value(self, name: str, environ: Mapping[str, str]) -> Any:
        """A member of the config in clear, `{"env": …}` looked up. Raises PermanentError where it is not set."""
        return _looked_up(self.secrets.get(name, self.config.get(name)), environ)

    def restate(self) -> dict[str, Any]:
        """What `Channels.save` takes to leave it as it is."""
        return {name: self.describe()[name] for name in ("kind", "config", "default", "enabled")}

    def describe(self) -> dict[str, Any]:
        """As JSON members, without secrets."""
        return {
            "name": self.name,
            "kind": self.kind,
            "config": {**self.config, **masked(self.secrets)},
            "default": self.default,
            "enabled": self.enabled,
            "read_only": self.read_only,
            "problem": self.problem or None,
            "created": rfc3339(self.created) if self.created else None,
            "updated": rfc3339(self.updated) if self.updated else None,
        }


class Channels:
    """The channels of an instance. Safe between threads."""

    def __init__(self, control: Control, settings: Settings, *, now_ns: NowNs = wall_ns) -> None:
        self._control, self._settings, self._now_ns = control, settings, now_ns
        self._box = SecretBox(control.path.parent)

    def all(self) -> list[Channel]:
        """All of them: those of the environment, then the others by name."""
        rows = self._control.rows(f"SELECT {_FIELDS} FROM channel ORDER BY name")  # noqa: S608 - a constant
        fixed = of_environment(self._settings)
        return [*fixed.values(), *(self._read(row) for row in rows if row[0] not in fixed)]

    def get(self, name: str) -> Channel | None:
        """The channel of this name."""
        fixed = of_environment(self._settings).get(name)
        rows = [] if fixed else self._control.rows(f"SELECT {_FIELDS} FROM channel WHERE name = ?", name)  # noqa: S608 - a constant
        return self._read(rows[0]) if rows else fixed

    def default_names(self) -> list[str]:
        """Where a rule goes that names no channels."""
        return [channel.name for channel in self.all() if channel.default and channel.enabled]

    def save(
        self, name: str, kind: str, config: Mapping[str, Any], *, default: bool = False, enabled: bool = True
    ) -> Channel:
        """Make a channel, or change the one of this name; a secret given as `********` stays as it was.

        Raises ReadOnly, or PermanentError that begins with the member at fault.
        """
        if _NAME.fullmatch(name) is None:
            raise PermanentError("name: 1 to 64 ASCII letters, digits and . _ -, the first a letter or digit")
        if name in of_environment(self._settings):
            raise ReadOnly(f"name: {name} is a channel of the environment; change it there")
        before = self.get(name)
        whole = _unmasked(config, before.secrets if before is not None and before.kind == kind else {})
        check_config(kind, whole)
        hidden = {each.name for each in KINDS[kind] if each.secret}
        shown = {key: value for key, value in whole.items() if key not in hidden}
        secrets = {key: value for key, value in whole.items() if key in hidden}
        now = self._now_ns()
        row = (name, kind, orjson.dumps(shown), self._box.seal(secrets, name), default, enabled, now, now)
        with self._control.transaction() as connection:
            others = connection.execute("SELECT count(*) FROM channel WHERE name <> ?", (name,)).get
            if others >= MAX_CHANNELS:
                raise PermanentError(f"name: there are {MAX_CHANNELS} channels already; remove one")
            connection.execute(
                "INSERT INTO channel VALUES(?,?,?,?,?,?,?,?) ON CONFLICT(name) DO UPDATE SET kind = excluded.kind,"
                " config = excluded.config, sealed = excluded.sealed, is_default = excluded.is_default,"
                " enabled = excluded.enabled, updated = excluded.updated",
                row,
            )
        found = self.get(name)
        if found is None:
            raise PermanentError(f"name: {name} was removed at the same time")
        return found

    def remove(self, name: str) -> Channel | None:
        """Forget a channel, and drop what waits for it; None where there is none. Raises ReadOnly."""
        if name in of_environment(self._settings):
            raise ReadOnly(f"name: {name} is a channel of the environment; switch it off there")
        found, now = self.get(name), self._now_ns()
        with self._control.transaction() as connection:
            connection.execute("DELETE FROM channel WHERE name = ?", (name,))
            connection.execute(
                "UPDATE outbox SET state = 'dropped', error = 'the channel was removed', ended = ?"
                " WHERE channel = ? AND state = 'waiting'",
                (now, name),
            )
            connection.execute("UPDATE message SET ended = ? WHERE channel = ? AND ended IS NULL", (now, name))
            connection.execute("DELETE FROM pace WHERE channel = ?", (name,))
        return found

    def _read(self, row: tuple[Any, ...]) -> Channel:
        name, kind, config, sealed, default, enabled, created, updated = row
        problem, secrets = "", dict[str, Any]()
        try:
            secrets = self._box.open(sealed, name)
        except PermanentError as error:
            problem = str(error)
        shown = orjson.loads(config)
        problem = problem or _unreachable(kind, secrets, self._settings)
        return Channel(name, kind, shown, secrets, bool(default), bool(enabled), created, updated, problem=problem)


_FIELDS = "name, kind, config, sealed, is_default, enabled, created, updated"


def of_environment(chosen: Settings) -> dict[str, Channel]:
    """The channels that the seed's names make; one that lacks something is there all the same, with its problem."""
    found = {}
    if chosen.flag("enable_email_alerts"):
        config: dict[str, Any] = {
            "server": chosen.text("smtp_server"),
            "port": chosen.whole("smtp_port"),
            "username": chosen.text("smtp_username"),
            "from": chosen.text("alert_from_email") or chosen.text("smtp_username"),
            "to": list(chosen.names("alert_to_emails")),
        }
        found["email"] = _fixed("email", config, {"password": chosen.text("smtp_password")}, _EMAIL_NAMES)
    if chosen.flag("enable_slack_alerts"):
        secrets = {"url": chosen.text("slack_webhook_url")}
        slack = _fixed("slack", {}, secrets, {"url": "SLACK_WEBHOOK_URL"})
        found["slack"] = slack if slack.problem else replace(slack, problem=_unreachable("slack", secrets, chosen))
    return found


def _unreachable(kind: str, secrets: Mapping[str, Any], chosen: Settings) -> str:
    """Why nothing can be sent to a private address, told where the channel is made rather than at the first alert."""
    url = secrets.get("url")
    if kind not in ("webhook", "slack") or not isinstance(url, str):
        return ""
    reason = why_literal_refused(url, allow_private=chosen.flag("allow_private_webhooks"))
    return f"url: it leads to {reason}; MONITORING_ALLOW_PRIVATE_WEBHOOKS=true allows private ones" if reason else ""


_EMAIL_NAMES = {
    "server": "SMTP_SERVER",
    "port": "SMTP_PORT",
    "username": "SMTP_USERNAME",
    "password": "SMTP_PASSWORD",
    "from": "ALERT_FROM_EMAIL",
    "to": "ALERT_TO_EMAILS",
}


def _fixed(kind: str, config: dict[str, Any], secrets: dict[str, Any], names: Mapping[str, str]) -> Channel:
    config = {key: value for key, value in config.items() if value}
    secrets = {key: value for key, value in secrets.items() if value}
    problem = ""
    try:
        check_config(kind, {**config, **secrets})
    except PermanentError as error:
        member, _, what = str(error).partition(":")
        problem = f"{names.get(member.removeprefix('config.'), member)}:{what}"
    return Channel(kind, kind, config, secrets, True, True, 0, 0, read_only=True, problem=problem)


def _unmasked(config: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The config with the secrets of before where only their mask came back. Raises PermanentError."""
    whole = {}
    for name, value in config.items():
        whole[name] = value
        if value == MASK:
            if name not in before:
                raise PermanentError(f"config.{name}: {MASK} stands for a secret that is kept, and there is none")
            whole[name] = before[name]
        elif isinstance(value, dict) and isinstance(before.get(name), dict):
            whole[name] = {key: before[name].get(key, each) if each == MASK else each for key, each in value.items()}
    return whole


def _looked_up(value: Any, environ: Mapping[str, str]) -> Any:
    if not isinstance(value, dict):
        return value
    if set(value) == {"env"} and isinstance(value["env"], str):
        name = value["env"]
        if not environ.get(name):
            raise PermanentError(f"{name} is not set in the environment of the worker")
        return environ[name]
    return {key: _looked_up(each, environ) for key, each in value.items()}


def environment() -> Mapping[str, str]:
    """Where `{"env": …}` is looked up: this process's own environment."""
    return os.environ
