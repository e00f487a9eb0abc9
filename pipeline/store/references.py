"""What rules refer to by name: channels that are told, and rules that explain them. A name that nobody has is a slip.

Over the API it is refused. A rule of a file is kept all the same, for files may be there before the channels are; what
it names in vain is told with its line, in the list of rules, by `monitoring doctor` and in the worker's log.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from monitoring.pipeline.alerts.rule import Rule, RuleInvalid
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.channels import Channels
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.rule_files import RuleFile
from monitoring.pipeline.store.rules import Stored

__all__ = ["Known", "check", "described", "known", "missing", "warnings"]

_MOST_NAMED = 10


class Known(NamedTuple):
    """The names that there are."""

    channels: frozenset[str]
    rules: frozenset[str]


def known(control: Control, chosen: Settings, *, assumed: Collection[str] = ()) -> Known:
    """The names of an instance. `assumed` are channels of an environment that this process may not have."""
    channels = {channel.name for channel in Channels(control, chosen).all()}
    rules = {str(name) for (name,) in control.rows("SELECT name FROM rule")}
    return Known(frozenset(channels | set(assumed)), frozenset(rules))


def missing(rule: Rule, names: Known) -> list[RuleInvalid]:
    """What a rule names that is not there, each with the member and what to write instead."""
    found = []
    for field, channel in _channels(rule):
        if channel not in names.channels:
            make = f"make it with PUT /api/v1/channels/{channel} or `monitoring channels add`"
            found.append(_slip(field, "channel", channel, names.channels, make))
    for index, each in enumerate(rule.inhibited_by):
        if each.rule not in names.rules | {rule.name}:
            field = f"inhibited_by[{index}].rule"
            found.append(_slip(field, "rule", each.rule, names.rules, "make that rule first"))
    return found


def check(rule: Rule, names: Known, before: Rule | None = None) -> None:
    """Raises RuleInvalid for a name that is not there, unless the rule has been keeping it since `before`."""
    past = {(each.problem, each.field.partition("[")[0]) for each in (missing(before, names) if before else ())}
    for each in missing(rule, names):
        if (each.problem, each.field.partition("[")[0]) not in past:
            raise each


def warnings(rule: Rule, names: Known) -> list[str]:
    """The same for people who look at rules."""
    return [str(each) for each in missing(rule, names)]


def described(rules: Sequence[Stored], files: Sequence[RuleFile], names: Known) -> dict[str, list[dict[str, Any]]]:
    """All rules and files as JSON members, with their warnings; those of files by line."""
    shown = [{**stored.describe(), "warnings": warnings(stored.rule, names)} for stored in rules]
    told = [
        {
            **file.describe(),
            "warnings": [
                {"line": each["line"], "message": f"{each['name']}: {warning}"}
                for each in sorted((each for each in shown if each.get("file") == file.path), key=lambda x: x["line"])
                for warning in each["warnings"]
            ],
        }
        for file in files
    ]
    return {"rules": shown, "files": told}


def _channels(rule: Rule) -> Iterator[tuple[str, str]]:
    yield from (("channels", name) for name in rule.channels)
    for index, step in enumerate(rule.escalation):
        yield from ((f"escalation[{index}].channels", name) for name in step.channels)


def _slip(field: str, noun: str, name: str, known_names: Collection[str], otherwise: str) -> RuleInvalid:
    near = difflib.get_close_matches(name, known_names, 1, 0.6)
    if near:
        fix = f"did you mean {near[0]!r}? Else {otherwise}"
    elif known_names:
        listed = ", ".join(sorted(known_names)[:_MOST_NAMED])
        fix = f"{otherwise}; there {'are' if len(known_names) > 1 else 'is'} {listed}"
    else:
        fix = f"{otherwise}; there is none yet"
    return RuleInvalid(field, f"there is no {noun} {name!r}", fix)
