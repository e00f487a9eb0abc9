"""Rules are read strictly, their texts run no code, and files tell their errors by line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.alerts.defaults import defaults
from monitoring.pipeline.alerts.durations import duration, seconds_of
from monitoring.pipeline.alerts.files import dumps, parse
from monitoring.pipeline.alerts.reading import rule_of
from monitoring.pipeline.alerts.rule import BUILT_IN, Rule, RuleInvalid
from monitoring.pipeline.alerts.template import Context, TemplateInvalid, check, fill
from monitoring.pipeline.query.promql.parse import parse as parse_promql

LOGS = {"name": "r", "kind": "logs", "query": "level:error", "threshold": 3}
METRIC = {"name": "r", "kind": "metric", "expr": "up", "threshold": 3}


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({**LOGS, "treshold": 3}, "treshold"),
        ({**LOGS, "kind": "log"}, "kind"),
        ({**LOGS, "threshold": None}, "threshold"),
        ({**LOGS, "query": "level:error ("}, "query"),
        ({**LOGS, "expr": "up"}, "expr"),
        ({**LOGS, "for": "5 minutes"}, "for"),
        ({**LOGS, "interval": "1s"}, "interval"),
        ({**LOGS, "recovery": 5}, "recovery"),
        ({**LOGS, "severity": "fatal"}, "severity"),
        ({**LOGS, "group_by": ["message"]}, "group_by"),
        ({**LOGS, "channels": "ops"}, "channels"),
        ({**LOGS, "annotations": {"summary": "{{ valu }}"}}, "annotations.summary"),
        ({**LOGS, "escalation": [{"after": "0s", "channels": ["x"]}]}, "escalation[0].after"),
        ({**METRIC, "group_by": ["host"]}, "group_by"),
        ({**METRIC, "expr": " "}, "expr"),
        ({**METRIC, "expr": "rate(up[5m]"}, "expr"),
        ({**METRIC, "expr": "nosuchfunction(up)"}, "expr"),
        ({**METRIC, "expr": "up[5m]"}, "expr"),
        ({**METRIC, "expr": "'up'"}, "expr"),
        ({**METRIC, "threshold": float("nan")}, "threshold"),
        ({**METRIC, "enabled": "yes"}, "enabled"),
        ({"name": "", **{k: v for k, v in LOGS.items() if k != "name"}}, "name"),
    ],
)
def test_an_error_names_the_member_and_what_to_write(members, field):
    with pytest.raises(RuleInvalid) as caught:
        rule_of(members)
    assert caught.value.field == field


@pytest.mark.parametrize("rule", defaults(), ids=lambda rule: rule.name)
def test_the_rules_of_the_product_can_be_read_back(rule):
    assert Rule.from_json(rule.to_json()) == rule
    again = rule_of(rule.describe(), built_in=True)
    assert again == rule
    if rule.kind == "metric":
        parse_promql(rule.expr)


@given(st.integers(0, 400 * 86_400))
def test_a_duration_is_written_so_that_it_reads_the_same(seconds):
    assert seconds_of(duration(seconds)) == seconds


def test_what_is_exported_is_read_as_the_same_rules():
    rules = [rule for rule in defaults() if rule.kind not in BUILT_IN]
    rules += [rule_of({**LOGS, "name": "none", "condition": "zero", "threshold": None}),
              rule_of({**LOGS, "name": "new", "condition": "new_pattern", "threshold": None})]  # fmt: skip
    found = parse(dumps(rules))
    assert found.errors == []
    assert [rule for rule, _ in found.rules] == rules


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("rules:\n  - name: a\n    kind: logs\n    query: x\n    threshold: many\n", 5),
        ("rules:\n  - name: a\n    kind: logs\n    quary: x\n", 4),
        ("rules:\n  - name: a\n  kind: logs\n", 3),
        ("rule: []\n", 1),
        ("rules: 3\n", 1),
        ("rules:\n  - name: a\n    kind: heartbeat\n  - name: a\n    kind: heartbeat\n", 4),
        ("rules:\n  - {name: a, kind: logs, labels: !!python/object/apply:os.system [x]}\n", 2),
        ("a: &a [x,x]\nb: &b [*a,*a]\nrules: []\n", 1),
    ],
)
def test_an_error_in_a_file_names_its_line(text, line):
    found = parse(text)
    assert [error.line for error in found.errors] == [line], found.errors


def test_a_file_that_grows_without_bounds_is_refused_in_bounded_time():
    bomb = "rules:\n  - labels: &a0 [x]\n" + "".join(
        f"    l{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
    )
    assert parse(bomb).errors


CONTEXT = Context({"value": 0.934, "since": "now", "samples": ["a", "b"]}, {"host": "web-1"}, {"logs": "http://x"})


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("CPU of {{ labels.host }} at {{ value | percent }}", "CPU of web-1 at 93.4 %"),
        ("{{labels.none}}|{{ threshold }}", "|"),
        ("{{ samples }}\n{{ links.logs }}", "a\nb\nhttp://x"),
        ("{{ labels.host | upper }} {{ value }}", "WEB-1 0.934"),
    ],
)
def test_places_are_filled(template, text):
    check(template)
    assert fill(template, CONTEXT) == text


@pytest.mark.parametrize(
    "template",
    ["{{ value.__class__ }}", "{{ 1 + 1 }}", "{{ labels }}", "{{ value | eval }}", "{{ config }}", "{{ value", "{{}}",
     "{{ value() }}", "{% for x in y %}{{ x }}{% endfor %}"],
)  # fmt: skip
def test_a_place_that_nothing_could_fill_is_an_error(template):
    with pytest.raises(TemplateInvalid):
        check(template)


@given(st.text(alphabet="{}|. valuebs_()'\"%", max_size=60))
def test_no_template_fails_or_reaches_anything(template):
    text = fill(template, CONTEXT)
    assert "<" not in text and "object at" not in text


def test_a_sign_in_a_label_is_only_text():
    context = Context({}, {"host": "{{ labels.host }} {{ value }}"}, {})
    assert fill("{{ labels.host }}", context) == "{{ labels.host }} {{ value }}"
