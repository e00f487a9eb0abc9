"""`monitoring alerts rules`: the rules there are, made, changed, written out and read in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from monitoring.cli.alerting import dumps, json_option, warn
from monitoring.cli.charts import table
from monitoring.cli.rule_desk import Desk, desk, members_of, rule_there
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.alerts.files import MAX_BYTES, parse
from monitoring.pipeline.alerts.files import dumps as to_yaml
from monitoring.pipeline.alerts.reading import rule_of
from monitoring.pipeline.alerts.rule import BUILT_IN, Rule
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.store import references

__all__ = ["rules"]

_TEXTS = ("expr", "query", "operator")
"""Members whose values are taken as they are written; others are read as YAML."""
_LISTS = ("group_by", "channels")
_set_option = click.option(
    "--set", "pairs", metavar="MEMBER=VALUE", multiple=True,
    help="A member of the rule; repeatable. Lists with commas, texts as annotations.summary=…, labels.team=….",
)  # fmt: skip


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def rules(context: click.Context, as_json: bool) -> None:
    """Rules: list, show, create, edit, delete, enable, disable, export, import; without a command: list.

    \b
        monitoring alerts rules create 'Payment errors' --set kind=logs --set 'query=level:error service:payments' \\
            --set window=5m --set threshold=10 --set severity=critical --set channels=ops
        monitoring alerts rules edit 'High CPU usage' --set threshold=0.9
        monitoring alerts rules edit 'High CPU usage'                    # in $EDITOR
        monitoring alerts rules export > rules.yaml
        monitoring alerts rules import rules.yaml

    Their members stand in docs/alerts.md. Rules of files (MONITORING_RULES_DIR) are changed in their files.
    """
    if context.invoked_subcommand is None:
        _list(as_json=as_json)


@rules.command("list")
@json_option
def rules_list(as_json: bool) -> None:
    """All rules with how their last evaluation went, and what is wrong in files of rules."""
    _list(as_json=as_json)


def _list(*, as_json: bool) -> None:
    found = desk(settings_table.load()).listing()
    if as_json:
        click.echo(dumps(found))
        return
    rows = [[each["name"], each["kind"], each["source"], each["status"]["state"], each["status"]["note"][:80]]
            for each in found["rules"]]  # fmt: skip
    for line in table(["name", "kind", "from", "state", ""], rows) if rows else ():
        click.echo(line.rstrip())
    for file in found["files"]:
        for error in file["errors"]:
            click.echo(f"{file['path']}:{error['line']}: {error['message']}", err=True)
        warn([f"{file['path']}:{each['line']}: {each['message']}" for each in file["warnings"]])
    warn([f"{each['name']}: {line}" for each in found["rules"] if "file" not in each for line in each["warnings"]])


@rules.command("show")
@click.argument("name")
@json_option
def rules_show(name: str, as_json: bool) -> None:
    """The rule called NAME as it stands in a file, and how its last evaluation went."""
    found = rule_there(desk(settings_table.load()), name)
    if as_json:
        click.echo(dumps(found))
        return
    click.echo(to_yaml([members_of(found)]), nl=False)
    where = f"{found['file']}:{found['line']}" if "file" in found else found["source"]
    click.echo(f"# from {where}, changed {found['changed_at'][:19]} by {found['changed_by']}")
    status = found["status"]
    evaluated = (status["evaluated_at"] or "never")[:19]
    click.echo(f"# {status['state']}, evaluated {evaluated}, {status['groups']} groups  {status['note']}".rstrip())
    warn(found["warnings"])


@rules.command("create")
@click.argument("name")
@_set_option
@json_option
def rules_create(name: str, pairs: tuple[str, ...], as_json: bool) -> None:
    """Add a rule called NAME; it is evaluated within seconds. `monitoring alerts test` tries it on the past.

    \b
        monitoring alerts rules create 'Queue is long' --set kind=metric --set 'expr=sum by (queue) (queue_length)' \\
            --set 'operator=>' --set threshold=100 --set for=5m --set 'annotations.summary={{ labels.queue }} is long'
    """
    made = desk(settings_table.load()).create(rule_of(_with({"name": name}, pairs)))
    click.echo(dumps(made) if as_json else f"created {name}; when it would have fired: monitoring alerts test {name!r}")


@rules.command("edit")
@click.argument("name")
@_set_option
@click.option("--unset", "unset", metavar="MEMBER", multiple=True, help="Back to its default; repeatable.")
@json_option
def rules_edit(name: str, pairs: tuple[str, ...], unset: tuple[str, ...], as_json: bool) -> None:
    """Change the rule called NAME: single members with --set and --unset, else all of it in $EDITOR."""
    of = desk(settings_table.load())
    before = members_of(rule_there(of, name))
    if pairs or unset:
        kept = {member: value for member, value in before.describe().items() if member not in unset}
        after = rule_of(_with(kept, pairs), built_in=before.kind in BUILT_IN)
    else:
        after = _edited(before)
    made = of.replace(after)
    click.echo(dumps(made) if as_json else f"saved {name}")


def _edited(before: Rule) -> Rule:
    """What somebody makes of it in an editor. Raises PermanentError."""
    if before.kind in BUILT_IN:
        raise PermanentError(f"name: {before.name!r} is built in: change its members with --set")
    shown = to_yaml([before])
    text = click.edit(shown, extension=".yaml")
    if text is None or text.strip() == shown.strip():
        raise PermanentError("nothing was changed in the editor")
    found = parse(text)
    if found.errors:
        raise PermanentError("; ".join(f"line {error.line}: {error.message}" for error in found.errors))
    if [rule.name for rule, _ in found.rules] != [before.name]:
        raise PermanentError("name: a rule keeps its name; create another one and delete this")
    return found.rules[0][0]


@rules.command("delete")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@json_option
def rules_delete(names: tuple[str, ...], as_json: bool) -> None:
    """Remove rules; their open alerts end, and who was told of them hears so."""
    of = desk(settings_table.load())
    gone = [rule_there(of, name) for name in names]
    for name in names:
        of.remove(name)
    click.echo(dumps(gone) if as_json else "\n".join(f"removed {name}" for name in names))


@rules.command("enable")
@click.argument("name")
@json_option
def rules_enable(name: str, as_json: bool) -> None:
    """Switch the rule called NAME on."""
    made = _switched(name, enabled=True)
    click.echo(dumps(made) if as_json else f"enabled {name}")


@rules.command("disable")
@click.argument("name")
@json_option
def rules_disable(name: str, as_json: bool) -> None:
    """Switch the rule called NAME off; its open alerts end."""
    made = _switched(name, enabled=False)
    click.echo(dumps(made) if as_json else f"disabled {name}")


def _switched(name: str, *, enabled: bool) -> dict[str, Any]:
    of = desk(settings_table.load())
    rule_there(of, name)
    return of.switch(name, enabled=enabled)


@rules.command("export")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Into this file; else standard output.")
def rules_export(names: tuple[str, ...], output: Path | None) -> None:
    """Rules as a YAML file that MONITORING_RULES_DIR and `import` take: those named, else all but the built-in ones."""
    of = desk(settings_table.load())
    wanted = [rule_there(of, name) for name in names] or of.listing()["rules"]
    text = to_yaml([members_of(each) for each in wanted if each["kind"] not in BUILT_IN])
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        click.echo(f"{len(wanted)} rules in {output}")


@rules.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@json_option
def rules_import(file: Any, dry_run: bool, as_json: bool) -> None:
    """Create or replace the rules of a YAML FILE (- for standard input). With an error in it, nothing is done.

    They can be changed over the API then. Files that are watched, and stay the truth, belong into MONITORING_RULES_DIR.
    """
    of = desk(settings_table.load())
    found = parse(file.read(MAX_BYTES + 1))
    there = {each["name"]: each for each in of.listing()["rules"]}
    errors = [f"{file.name}:{line}: {message}" for line, message in found.errors]
    errors += _refused(file.name, found.rules, there, of)
    if errors:
        raise PermanentError("; ".join(errors))
    done = []
    for rule in _in_order([rule for rule, _ in found.rules]):
        act = "create" if rule.name not in there else "unchanged" if members_of(there[rule.name]) == rule else "replace"
        if not dry_run and act != "unchanged":
            (of.create if act == "create" else of.replace)(rule)
        done.append({"rule": rule.name, "done": act})
    if as_json:
        click.echo(dumps({"dry_run": dry_run, "rules": done}))
        return
    for each in done:
        click.echo(f"{'would ' if dry_run and each['done'] != 'unchanged' else ''}{each['done']} {each['rule']}")


def _refused(
    file: str, found: Sequence[tuple[Rule, int]], there: dict[str, dict[str, Any]], of: Desk
) -> list[str]:  # fmt: skip
    """What cannot be taken over: rules of other files, and names of nobody, those of the same file included."""
    names = of.names()
    names = names._replace(rules=names.rules | {rule.name for rule, _ in found})
    errors = []
    for rule, line in found:
        if there.get(rule.name, {}).get("read_only"):
            known = there[rule.name]
            errors.append(
                f"{file}:{line}: {rule.name!r} comes from {known['file']}, line {known['line']}: change it there"
            )
        errors += [f"{file}:{line}: {each}" for each in references.missing(rule, names)]
    return errors


def _in_order(found: list[Rule]) -> list[Rule]:
    """Those that explain others first: a rule that names one that is not there yet would be refused."""
    placed: dict[str, Rule] = {}
    left = {rule.name: rule for rule in found}
    while left:
        ready = [rule for rule in left.values() if not any(each.rule in left and each.rule != rule.name
                                                           for each in rule.inhibited_by)]  # fmt: skip
        if not ready:
            raise PermanentError(f"inhibited_by: {', '.join(left)} explain each other in a circle")
        for rule in ready:
            placed[rule.name] = left.pop(rule.name)
    return list(placed.values())


def _with(members: dict[str, Any], pairs: tuple[str, ...]) -> dict[str, Any]:
    """The members with what --set says."""
    import yaml

    found = dict(members)
    for pair in pairs:
        member, sign, text = pair.partition("=")
        if not sign:
            raise click.UsageError(f"--set {member}: expected MEMBER=VALUE")
        head, dot, rest = member.partition(".")
        if dot:
            found[head] = {**(found.get(head) or {}), rest: text}
        elif member in _TEXTS:
            found[member] = text
        elif member in _LISTS and not text.startswith("["):
            found[member] = [each.strip() for each in text.split(",") if each.strip()]
        else:
            try:
                found[member] = yaml.safe_load(text)
            except yaml.YAMLError as error:
                raise click.UsageError(f"--set {member}: not YAML: {error}") from error
    return found
