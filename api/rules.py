"""`/api/v1/rules`: what is an alert. Rules of files are shown, and changed in their files."""

from __future__ import annotations

from typing import Any

from monitoring.api import asking
from monitoring.api.keys import json_object
from monitoring.api.problems import Problem
from monitoring.api.refusals import refusals
from monitoring.api.routes import Answer, Call
from monitoring.pipeline.alerts.backtest import backtest
from monitoring.pipeline.alerts.files import dumps
from monitoring.pipeline.alerts.reading import MEMBERS, rule_of
from monitoring.pipeline.alerts.rule import Rule
from monitoring.pipeline.errors import QuerySyntaxError
from monitoring.pipeline.query.ranges import moment
from monitoring.pipeline.store import rule_files
from monitoring.pipeline.store.rules import Stored

__all__ = ["create", "disable", "enable", "export", "listing", "one", "remove", "replace", "test"]


def listing(call: Call) -> Answer:
    """All rules with how their last evaluation went, and the files of rules with what is wrong in them."""
    found = call.runtime.rules.all()
    files = rule_files.files(call.runtime.control)
    return {"rules": [stored.describe() for stored in found], "files": [file.describe() for file in files]}


def one(call: Call, name: str) -> Answer:
    """One rule."""
    return _found(call.runtime.rules.get(name)).describe()


def create(call: Call) -> Answer:
    """Add a rule; it is evaluated within seconds."""
    members = json_object(MEMBERS)
    with refusals():
        return call.runtime.rules.create(rule_of(members), call.key.name).describe(), 201


def replace(call: Call, name: str) -> Answer:
    """Put a rule in the place of one."""
    members = json_object(MEMBERS)
    before = _found(call.runtime.rules.get(name))
    with refusals():
        rule = rule_of({"name": name, **members}, built_in=before.rule.kind == "delivery")
        return _found(call.runtime.rules.replace(name, rule, call.key.name)).describe()


def remove(call: Call, name: str) -> Answer:
    """Remove a rule; its open alerts end."""
    with refusals():
        return _found(call.runtime.rules.remove(name, call.key.name)).describe()


def enable(call: Call, name: str) -> Answer:
    """Switch a rule on."""
    with refusals():
        return _found(call.runtime.rules.enable(name, call.key.name, enabled=True)).describe()


def disable(call: Call, name: str) -> Answer:
    """Switch a rule off; its open alerts end."""
    with refusals():
        return _found(call.runtime.rules.enable(name, call.key.name, enabled=False)).describe()


def export(call: Call) -> Answer:
    """All rules as the text of a YAML file."""
    return {"yaml": dumps([stored.rule for stored in call.runtime.rules.all() if stored.rule.kind != "delivery"])}


def test(call: Call) -> Answer:
    """When a rule would have fired over stored history: one that exists, or one that is only tried."""
    body = json_object(("rule", "name", "since", "until"))
    rule = _tried(call, body)
    start, end = (_moment(call, body, name, default) for name, default in (("since", "-1d"), ("until", "now")))

    def run() -> tuple[dict[str, Any], str | None]:
        found = backtest(rule, call.runtime.observing, start, end, asking.deadline(call.runtime))
        return found.describe(), found.partial

    with refusals():
        return asking.answered(call.runtime, run)


def _tried(call: Call, body: dict[str, Any]) -> Rule:
    if "name" in body and "rule" not in body:
        return _found(call.runtime.rules.get(str(body["name"]))).rule
    if not isinstance(body.get("rule"), dict):
        raise Problem(400, "a rule is needed", field="rule", fix='{"name": "High CPU usage"} or {"rule": {…}}')
    with refusals():
        return rule_of({"name": "tried", **body["rule"]})


def _moment(call: Call, body: dict[str, Any], name: str, default: str) -> int:
    try:
        return moment(str(body.get(name, default)), call.runtime.now_ns())
    except QuerySyntaxError as error:
        raise Problem(400, "not a time", field=name, fix=error.hint) from error


def _found(stored: Stored | None) -> Stored:
    if stored is None:
        raise Problem(404, "there is no such rule", field="name", fix="GET /api/v1/rules lists them")
    return stored
