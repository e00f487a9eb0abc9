"""Rules in YAML files: `rules:` with the members of the API. Every error names its line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from monitoring.pipeline.alerts.reading import rule_of
from monitoring.pipeline.alerts.rule import Rule, RuleInvalid

__all__ = ["MAX_BYTES", "FileError", "Parsed", "dumps", "parse"]

MAX_BYTES = 4 << 20
"""A thousand rules are half of that."""
_MAX_NODES = 200_000
"""Aliases may make a small file a huge tree (a "billion laughs")."""


class FileError(NamedTuple):
    """What is wrong, and where; lines count from 1."""

    line: int
    message: str

    def describe(self) -> dict[str, Any]:
        """As JSON members."""
        return {"line": self.line, "message": self.message}


class Parsed(NamedTuple):
    """The rules of a file with their lines, and its errors. A file with errors is not taken over in part."""

    rules: list[tuple[Rule, int]]
    errors: list[FileError]


def parse(text: str) -> Parsed:
    """The rules of a YAML file."""
    import yaml  # 20 ms that a service, or a search, need not pay

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return Parsed([], [FileError(mark.line + 1 if mark else 1, f"not YAML: {error.problem or error.context}")])
    except (yaml.YAMLError, RecursionError) as error:
        return Parsed([], [FileError(1, f"not YAML: {error}")])
    if root is None:
        return Parsed([], [])
    items = _items(root)
    if isinstance(items, FileError):
        return Parsed([], [items])
    rules: list[tuple[Rule, int]] = []
    errors: list[FileError] = []
    lines: dict[str, int] = {}
    for node in items:
        line = node.start_mark.line + 1
        found = _rule(node)
        if isinstance(found, FileError):
            errors.append(found)
        elif found.name in lines:
            errors.append(FileError(line, f"name: {found.name!r} is the rule of line {lines[found.name]} already"))
        else:
            lines[found.name] = line
            rules.append((found, line))
    return Parsed(rules, errors)


def dumps(rules: Sequence[Rule]) -> str:
    """Rules as a file that `parse` reads; what a rule says by default is left out."""
    import yaml

    members = [_brief(rule) for rule in rules]
    return str(yaml.safe_dump({"rules": members}, sort_keys=False, allow_unicode=True, width=110))


def _items(root: Any) -> list[Any] | FileError:
    import yaml

    if not isinstance(root, yaml.MappingNode):
        return FileError(root.start_mark.line + 1, "the file must hold `rules:`, a list")
    for key, value in root.value:
        if key.value != "rules":
            return FileError(key.start_mark.line + 1, f"{key.value}: there is no such member; the file holds `rules:`")
        if not isinstance(value, yaml.SequenceNode):
            if isinstance(value, yaml.ScalarNode) and value.value in ("", "null", "~"):
                return []
            return FileError(value.start_mark.line + 1, "rules: must be a list, each rule behind a dash")
        return list(value.value)
    return []


def _rule(node: Any) -> Rule | FileError:
    import yaml

    line = node.start_mark.line + 1
    lines = {}
    if isinstance(node, yaml.MappingNode):
        lines = {str(key.value): key.start_mark.line + 1 for key, _ in node.value}
        if len(lines) < len(node.value):
            return FileError(line, "a member stands twice in the rule")
    try:
        _count(node, [0])
        return rule_of(_plain(yaml.SafeLoader("").construct_document(node)))
    except RuleInvalid as error:
        return FileError(lines.get(error.field.partition(".")[0].partition("[")[0], line), str(error))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        return FileError(line, f"not usable: {error}")


def _count(node: Any, seen: list[int]) -> None:
    """Raises ValueError for a tree that is too large once its aliases are followed."""
    seen[0] += 1
    if seen[0] > _MAX_NODES:
        raise ValueError("too large once its aliases are followed")
    value = node.value
    if isinstance(value, list):
        for each in value:
            for part in each if isinstance(each, tuple) else (each,):
                _count(part, seen)


def _plain(value: Any) -> Any:
    """YAML's numbers as texts where names are meant: `labels: {team: 7}` is read as rule_of reads JSON."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value


_DEFAULTS: Mapping[str, Any] = {
    "query": "", "condition": "threshold", "operator": ">=", "recovery": None, "threshold": None, "group_by": [],
    "for": "0s", "no_data": "ok", "labels": {}, "annotations": {}, "channels": [], "escalation": [],
    "inhibited_by": [], "enabled": True, "established": "0s",
}  # fmt: skip


def _brief(rule: Rule) -> dict[str, Any]:
    members = rule.describe()
    if rule.kind == "logs" and rule.condition == "zero":
        members.pop("operator", None)
    return {name: value for name, value in members.items() if name not in _DEFAULTS or value != _DEFAULTS[name]}
