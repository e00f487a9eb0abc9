"""`/api/v1/rules`: what is an alert. Rules of files are shown, and changed in their files."""

from __future__ import annotations

from typing import Any

from monitoring.api import asking
from monitoring.api.params import Fields, Json, Moment, Text
from monitoring.api.problems import Problem
from monitoring.api.refusals import refusals
from monitoring.api.routes import ASKING, Answer, Call, Route
from monitoring.pipeline.alerts.backtest import backtest
from monitoring.pipeline.alerts.files import dumps
from monitoring.pipeline.alerts.reading import rule_of
from monitoring.pipeline.alerts.rule import BUILT_IN, CONDITIONS, KINDS, NO_DATA, OPERATORS, SEVERITIES, Rule
from monitoring.pipeline.store import references, rule_files
from monitoring.pipeline.store.rules import Stored

__all__ = ["ROUTES", "create", "disable", "enable", "export", "listing", "one", "remove", "replace", "test"]

SINCE = Moment("since", "included", default="-1d")
UNTIL = Moment("until", "excluded", default="now")
_TEXT = {"type": "string"}
_TIME = {"type": ["string", "number"], "examples": ["5m"]}
_VALUE = {"type": "number"}
_TEXTS = {"type": "array", "items": _TEXT}
_NAMED = {"type": "object", "additionalProperties": _TEXT}
_OBJECTS = {"type": "array", "items": {"type": "object"}}
RULE = Fields(
    Json("name", like=_TEXT),
    Json("kind", like={"enum": list(KINDS)}),
    Json("expr", "of a metric rule: PromQL", like=_TEXT),
    Json("query", "of a rule about logs: in the search language", like=_TEXT),
    Json("condition", like={"enum": list(CONDITIONS)}),
    Json("window", "in which events are counted", like=_TIME),
    Json("group_by", "names of fields", like=_TEXTS),
    Json("operator", like={"enum": list(OPERATORS)}),
    Json("threshold", like=_VALUE),
    Json("recovery", "what ends an alert, if not the threshold", like=_VALUE),
    Json("for", "how long the condition must hold", like=_TIME),
    Json("interval", "between evaluations", like=_TIME),
    Json("cooldown", "after which it may come back", like=_TIME),
    Json("lookback", "how long a group is remembered", like=_TIME),
    Json("established", "how long a service must have been there before its silence counts", like=_TIME),
    Json("no_data", like={"enum": list(NO_DATA)}),
    Json("severity", like={"enum": list(SEVERITIES)}),
    Json("labels", like=_NAMED),
    Json("annotations", like=_NAMED),
    Json("channels", "by name; absent: the default ones", like=_TEXTS),
    Json("escalation", like=_OBJECTS),
    Json("inhibited_by", like=_OBJECTS),
    Json("enabled", like={"type": "boolean"}),
)
"""`rule_of` of pipeline/alerts/reading.py says what is wrong with them, as it does of files."""
TEST = Fields(
    Json("rule", "that is only tried: its members", like={"type": "object"}),
    Text("name", "of a rule that exists", longest=256),
    SINCE,
    UNTIL,
)


def listing(call: Call) -> Answer:
    """All rules with how their last evaluation went, and the files of rules with what is wrong in them."""
    found = call.runtime.rules.all()
    files = rule_files.files(call.runtime.control)
    return references.described(found, files, _known(call))


def one(call: Call, name: str) -> Answer:
    """One rule."""
    return _shown(call, call.runtime.rules.get(name))


def create(call: Call) -> Answer:
    """Add a rule; it is evaluated within seconds. Channels and rules that it names must be there."""
    members = RULE.given()
    with refusals():
        rule = rule_of(members)
        references.check(rule, _known(call))
        return _shown(call, call.runtime.rules.create(rule, call.actor)), 201


def replace(call: Call, name: str) -> Answer:
    """Put a rule in the place of one."""
    members = RULE.given()
    before = _found(call.runtime.rules.get(name))
    with refusals():
        rule = rule_of({"name": name, **members}, built_in=before.rule.kind in BUILT_IN)
        references.check(rule, _known(call), before.rule)
        return _shown(call, call.runtime.rules.replace(name, rule, call.actor))


def remove(call: Call, name: str) -> Answer:
    """Remove a rule; its open alerts end."""
    with refusals():
        return _shown(call, call.runtime.rules.remove(name, call.actor))


def enable(call: Call, name: str) -> Answer:
    """Switch a rule on."""
    with refusals():
        return _shown(call, call.runtime.rules.enable(name, call.actor, enabled=True))


def disable(call: Call, name: str) -> Answer:
    """Switch a rule off; its open alerts end."""
    with refusals():
        return _shown(call, call.runtime.rules.enable(name, call.actor, enabled=False))


def export(call: Call) -> Answer:
    """All rules as the text of a YAML file."""
    return {"yaml": dumps([stored.rule for stored in call.runtime.rules.all() if stored.rule.kind not in BUILT_IN])}


def test(call: Call) -> Answer:
    """When a rule would have fired over stored history: one that exists, or one that is only tried."""
    body = TEST.given()
    rule = _tried(call, body)
    start, end = (each.at(body.get(each, each.default), call.runtime.now_ns()) for each in (SINCE, UNTIL))

    def run() -> tuple[dict[str, Any], str | None]:
        found = backtest(rule, call.runtime.observing, start, end, asking.deadline(call.runtime))
        return found.describe(), found.partial

    with refusals():
        return asking.answered(call, run)


def _tried(call: Call, body: dict[str, Any]) -> Rule:
    if "name" in body and "rule" not in body:
        return _found(call.runtime.rules.get(str(body["name"]))).rule
    if not isinstance(body.get("rule"), dict):
        raise Problem(400, "a rule is needed", field="rule", fix='{"name": "High CPU usage"} or {"rule": {…}}')
    with refusals():
        return rule_of({"name": "tried", **body["rule"]})


def _known(call: Call) -> references.Known:
    return references.known(call.runtime.control, call.runtime.settings)


def _shown(call: Call, stored: Stored | None) -> dict[str, Any]:
    found = _found(stored)
    return {**found.describe(), "warnings": references.warnings(found.rule, _known(call))}


def _found(stored: Stored | None) -> Stored:
    if stored is None:
        raise Problem(404, "there is no such rule", field="name", fix="GET /api/v1/rules lists them")
    return stored


ROUTES = (
    Route("GET", "/api/v1/rules", "viewer", listing),
    Route("POST", "/api/v1/rules", "operator", create, audit="rule.create", body=RULE),
    Route("POST", "/api/v1/rules/test", "viewer", test, audit=ASKING, body=TEST),
    Route("GET", "/api/v1/rules/export", "viewer", export),
    Route("GET", "/api/v1/rules/<name>", "viewer", one),
    Route("PUT", "/api/v1/rules/<name>", "operator", replace, audit="rule.save", body=RULE),
    Route("DELETE", "/api/v1/rules/<name>", "operator", remove, audit="rule.remove"),
    Route("POST", "/api/v1/rules/<name>/enable", "operator", enable, audit="rule.enable", before=one),
    Route("POST", "/api/v1/rules/<name>/disable", "operator", disable, audit="rule.disable", before=one),
)
