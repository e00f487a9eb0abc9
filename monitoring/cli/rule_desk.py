"""The rules of an instance, here or over HTTP: the same acts on either."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from monitoring.cli import local
from monitoring.cli.access import Remote, is_local, remote
from monitoring.cli.alerting import base_url, me, opened
from monitoring.pipeline.alerts.reading import MEMBERS, rule_of
from monitoring.pipeline.alerts.rule import BUILT_IN, Rule
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store import references, rule_files
from monitoring.pipeline.store.channels import OF_ENVIRONMENT
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.references import Known
from monitoring.pipeline.store.rules import Rules

__all__ = ["Desk", "desk", "members_of", "rule_there"]


class Desk(Protocol):
    """What can be done with rules. Raises PermanentError for what is refused, RetryableError where nobody answers."""

    def listing(self) -> dict[str, list[dict[str, Any]]]:
        """`rules` and `files`, as the API lists them."""
        ...

    def names(self) -> Known:
        """The channels and rules that there are."""
        ...

    def create(self, rule: Rule) -> dict[str, Any]:
        """Add it; as the API shows it."""
        ...

    def replace(self, rule: Rule) -> dict[str, Any]:
        """Put it in the place of the one of its name."""
        ...

    def remove(self, name: str) -> None:
        """Remove it; its alerts end."""
        ...

    def switch(self, name: str, *, enabled: bool) -> dict[str, Any]:
        """Switch it on or off; off ends its alerts."""
        ...


def desk(chosen: Settings) -> Desk:
    """That of this machine's data directory, else that of the address in the environment. Raises SettingsError."""
    return _Here(chosen) if is_local(chosen) else _There(remote(chosen))


def rule_there(of: Desk, name: str) -> dict[str, Any]:
    """The rule of this name as the API shows it. Raises PermanentError, with the nearest name."""
    import difflib

    rules = {each["name"]: each for each in of.listing()["rules"]}
    if name not in rules:
        near = difflib.get_close_matches(name, rules, 1, 0.6)
        raise PermanentError(
            f"there is no rule {name!r}: "
            + (f"did you mean {near[0]!r}?" if near else "`monitoring alerts rules` shows all")
        )
    return rules[name]


def members_of(shown: Mapping[str, Any]) -> Rule:
    """The rule that the API shows so."""
    members = {name: value for name, value in shown.items() if name in MEMBERS}
    return rule_of(members, built_in=members.get("kind") in BUILT_IN)


class _Here:
    def __init__(self, chosen: Settings) -> None:
        self._settings = chosen

    def listing(self) -> dict[str, list[dict[str, Any]]]:
        with opened(self._settings) as control:
            return references.described(Rules(control).all(), rule_files.files(control), self._known(control))

    def names(self) -> Known:
        with opened(self._settings) as control:
            return self._known(control)

    def create(self, rule: Rule) -> dict[str, Any]:
        with opened(self._settings) as control:
            references.check(rule, self._known(control))
            made = self._rules(control).create(rule, me()).describe()
        local.note(self._settings, "rule.create", rule.name, after=made)
        return made

    def replace(self, rule: Rule) -> dict[str, Any]:
        with opened(self._settings) as control:
            rules = self._rules(control)
            before = rules.get(rule.name)
            references.check(rule, self._known(control), before.rule if before else None)
            made = rules.replace(rule.name, rule, me())
        if before is None or made is None:
            raise PermanentError(_missing(rule.name))
        local.note(self._settings, "rule.save", rule.name, before=before.describe(), after=made.describe())
        return made.describe()

    def remove(self, name: str) -> None:
        with opened(self._settings) as control:
            gone = self._rules(control).remove(name, me())
        if gone is None:
            raise PermanentError(_missing(name))
        local.note(self._settings, "rule.remove", name, before=gone.describe())

    def switch(self, name: str, *, enabled: bool) -> dict[str, Any]:
        with opened(self._settings) as control:
            made = self._rules(control).enable(name, me(), enabled=enabled)
        if made is None:
            raise PermanentError(_missing(name))
        local.note(self._settings, "rule.enable" if enabled else "rule.disable", name, after=made.describe())
        return made.describe()

    def _rules(self, control: Control) -> Rules:
        return Rules(control, base_url=base_url(self._settings))

    def _known(self, control: Control) -> Known:
        """The channels of the environment of `monitoring up` may not be in that of this shell."""
        return references.known(control, self._settings, assumed=OF_ENVIRONMENT)


class _There:
    def __init__(self, api: Remote) -> None:
        self._api = api

    def listing(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = self._api.call("GET", "rules")
        return found

    def names(self) -> Known:
        channels = {each["name"] for each in self._api.call("GET", "channels")["channels"]}
        return Known(frozenset(channels), frozenset(each["name"] for each in self.listing()["rules"]))

    def create(self, rule: Rule) -> dict[str, Any]:
        made: dict[str, Any] = self._api.call("POST", "rules", body=rule.describe())
        return made

    def replace(self, rule: Rule) -> dict[str, Any]:
        made: dict[str, Any] = self._api.call("PUT", "rules", rule.name, body=rule.describe())
        return made

    def remove(self, name: str) -> None:
        self._api.call("DELETE", "rules", name)

    def switch(self, name: str, *, enabled: bool) -> dict[str, Any]:
        made: dict[str, Any] = self._api.call("POST", "rules", name, "enable" if enabled else "disable")
        return made


def _missing(name: str) -> str:
    return f"there is no rule {name!r}: `monitoring alerts rules` shows all"
