"""Checks of alert rules: files with errors, names of channels and rules that are not there, rules that fail."""

from __future__ import annotations

import contextlib

from monitoring.pipeline.doctor.finding import Examined, Finding, ok, problem, warning
from monitoring.pipeline.store import references, rule_files
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.pipeline.store.rules import Rules

__all__ = ["rules_work"]

_MOST_NAMED = 3


def rules_work(seen: Examined) -> Finding:
    """Whether every file of rules was taken over, and every rule can be evaluated and told."""
    if not (seen.data / FILE_NAME).exists():
        return ok("there are no rules yet")
    with contextlib.closing(Control(seen.data / FILE_NAME)) as control:
        rules = Rules(control).all()
        files = rule_files.files(control)
        found = references.described(rules, files, references.known(control, seen.settings))
    errors = [f"{file['path']}:{each['line']}: {each['message']}" for file in found["files"] for each in file["errors"]]
    if errors:
        return problem(_listed(errors), "correct the file: until then the rules that it had before are in force")
    lost = [
        f"{rule.get('file') or rule['name']}{':' + str(rule['line']) if 'line' in rule else ''}: {each}"
        for rule in found["rules"] if rule["enabled"] for each in rule["warnings"]
    ]  # fmt: skip
    if lost:
        return warning(_listed(lost), "make what is named, or correct the name: nobody is told over it")
    failing = [f"{stored.rule.name}: {stored.note}" for stored in rules if stored.status == "error"]
    if failing:
        return warning(_listed(failing), "`monitoring alerts rules` shows all of them")
    return ok(f"{len(rules)} rules, none with an error")


def _listed(lines: list[str]) -> str:
    more = len(lines) - _MOST_NAMED
    return "; ".join(lines[:_MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")
