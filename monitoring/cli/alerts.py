"""`monitoring alerts`: what is wrong, who takes care of it, rules and silences.

On the data directory of this machine, else over HTTP (see access.py). The owner of the directory acts under the name
of the login.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import click

from monitoring.cli import local
from monitoring.cli.access import is_local, remote
from monitoring.cli.alerting import base_url, dumps, json_option, me, opened, warn
from monitoring.cli.charts import table
from monitoring.cli.rule_desk import desk, members_of, rule_there
from monitoring.cli.rules import rules
from monitoring.cli.windows import windows
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.alerts.alert import OPEN, STATES
from monitoring.pipeline.alerts.backtest import backtest
from monitoring.pipeline.alerts.durations import seconds_of
from monitoring.pipeline.alerts.files import dumps as to_yaml
from monitoring.pipeline.alerts.files import parse
from monitoring.pipeline.alerts.rule import BUILT_IN, Rule
from monitoring.pipeline.alerts.silence import matchers_of
from monitoring.pipeline.bus.embedded import locate
from monitoring.pipeline.bus.streams import Streams, connect
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import moment
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store import matching
from monitoring.pipeline.store.alerts import Alerts
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.logs import open_logs
from monitoring.pipeline.store.observing import Observing
from monitoring.pipeline.store.silences import Silences

__all__ = ["alerts"]

_TEST_SECONDS = 120.0
"""A backtest of a month may take a while; who waits at a terminal can end it."""


@click.group()
def alerts() -> None:
    """Alerts: what is wrong, who takes care of it; rules, silences and maintenance windows.

    \b
        monitoring alerts list
        monitoring alerts ack ID --comment 'looking into it'
        monitoring alerts silence 'host=~batch-.*' --for 2h --reason 'the yearly report'
        monitoring alerts rules
        monitoring alerts test 'High CPU usage' --since 7d
    """


alerts.add_command(rules)
alerts.add_command(windows)


@alerts.command("list")
@click.option("--state", default="open", show_default=True, help="open, all, or states divided by commas.")
@json_option
def alerts_list(state: str, as_json: bool) -> None:
    """The alerts that are open, the newest first."""
    chosen = settings_table.load()
    if is_local(chosen):
        with opened(chosen) as control:
            found = [alert.describe() for alert in _alerts(control, chosen).all(_states(state))]
    else:
        found = remote(chosen).call("GET", "alerts", query={"state": state, "limit": "1000"})["alerts"]
    if as_json:
        click.echo(dumps(found))
        return
    if not found:
        click.echo("nothing is wrong" if state == "open" else "none")
        return
    rows = [[each["id"], each["state"], each["severity"], each["started_at"][:19], each["summary"] or each["rule"]]
            for each in found]  # fmt: skip
    for line in table(["id", "state", "severity", "since", "what"], rows):
        click.echo(line)


@alerts.command("show")
@click.argument("identity", metavar="ID")
@json_option
def alerts_show(identity: str, as_json: bool) -> None:
    """One alert with all that is known of it."""
    chosen = settings_table.load()
    if is_local(chosen):
        with opened(chosen) as control:
            known = _alerts(control, chosen)
            alert = known.get(identity)
            found = {**alert.describe(), "links": known.links(alert)}
    else:
        found = remote(chosen).call("GET", "alerts", identity)
    _show(found, as_json=as_json)


@alerts.command("history")
@click.argument("identity", metavar="ID")
@json_option
def alerts_history(identity: str, as_json: bool) -> None:
    """All that happened to an alert, the oldest first."""
    chosen = settings_table.load()
    if is_local(chosen):
        with opened(chosen) as control:
            found = _alerts(control, chosen).history(identity)
    else:
        found = remote(chosen).call("GET", "alerts", identity, "history")["history"]
    if as_json:
        click.echo(dumps(found))
        return
    for each in found:
        what = f"{each['from'] or '(new)'} -> {each['to']}" if each["kind"] == "transition" else each["kind"]
        value = "" if each["value"] is None else f" at {each['value']:g}"
        click.echo(f"{each['at'][:19]}  {what}{value}  by {each['actor']}  {each['note']}".rstrip())
        for sent in each.get("deliveries", ()):
            tries = f", {sent['attempts']} tries" if sent["attempts"] > 1 else ""
            said = f": {sent['said']}" if sent["said"] else ""
            click.echo(f"{(sent['at'] or '')[:19]:19}    {sent['channel']} {sent['state']}{tries}{said}")


@alerts.command("ack")
@click.argument("identity", metavar="ID")
@click.option("--comment", default="", help="What you are about to do.")
@json_option
def alerts_ack(identity: str, comment: str, as_json: bool) -> None:
    """Take care of an alert: it is not escalated any further. One that somebody else has stays theirs."""
    found = _act("acknowledge", identity, comment)
    if as_json:
        click.echo(dumps(found))
    elif found["already_acknowledged"]:
        first = f"{found['acknowledged_at'][:19]}Z by {found['acknowledged_by']}"
        click.echo(f"{identity} was acknowledged already, {first}" + ("; your comment was added" if comment else ""))
    else:
        click.echo(f"acknowledged {identity}")


@alerts.command("resolve")
@click.argument("identity", metavar="ID")
@click.option("--comment", default="", help="What it was.")
@json_option
def alerts_resolve(identity: str, comment: str, as_json: bool) -> None:
    """Say that an alert is over. If its condition still holds after the cooldown, it comes back."""
    found = _act("resolve", identity, comment)
    click.echo(dumps(found) if as_json else f"resolved {identity}")


@alerts.command("comment")
@click.argument("identity", metavar="ID")
@click.argument("text")
@json_option
def alerts_comment(identity: str, text: str, as_json: bool) -> None:
    """Add TEXT to the history of an alert, for whoever looks next.

    \b
        monitoring alerts comment 3f9a1c… 'the nightly job again'
    """
    found = _act("comment", identity, text)
    click.echo(dumps(found) if as_json else f"added to {identity}")


@alerts.command("silence")
@click.argument("matchers", nargs=-1, metavar="MATCHER...")
@click.option("--for", "length", default="1h", show_default=True, help="How long: 30m, 2h, 7d.")
@click.option("--reason", default="", help="Why; needed.")
@click.option("--expire", metavar="ID", help="End this silence now instead.")
@json_option
def alerts_silence(matchers: tuple[str, ...], length: str, reason: str, expire: str | None, as_json: bool) -> None:
    """Silence alerts that meet every MATCHER, like 'rule=High CPU usage' 'host=~web-.*'; without one: list silences."""
    chosen = settings_table.load()
    if expire is not None:
        _expire(chosen, expire)
        click.echo(f"ended {expire}")
        return
    if not matchers:
        _list_silences(chosen, as_json=as_json)
        return
    seconds = seconds_of(length)
    if not seconds:
        raise click.BadParameter(f"{length!r} is no duration: like 30m, 2h or 7d", param_hint="--for")
    if is_local(chosen):
        with opened(chosen) as control:
            now = wall_ns()
            made = Silences(control).add(
                matchers_of(list(matchers)), now, now + seconds * 1_000_000_000, me(), reason
            )  # fmt: skip
            found = {**made.describe(now), **matching.described(control, made.matchers)}
        local.note(chosen, "silence.create", made.id, after=found)
    else:
        body = {"matchers": list(matchers), "ends_at": f"+{seconds}s", "reason": reason}
        found = remote(chosen).call("POST", "silences", body=body)
    warn(found["warnings"])
    if as_json:
        click.echo(dumps(found))
        return
    click.echo(
        f"silenced until {found['ends_at'][:19]}Z as {found['id']}; it matches {found['matching']} open alerts now"
    )


@alerts.command("export")
def alerts_export() -> None:
    """All rules as a YAML file, on standard output; as `monitoring alerts rules export`."""
    found = desk(settings_table.load()).listing()["rules"]
    click.echo(to_yaml([members_of(each) for each in found if each["kind"] not in BUILT_IN]), nl=False)


@alerts.command("test")
@click.argument("rule", metavar="RULE|FILE")
@click.option("--since", default="7d", show_default=True, help="How far back: 7d, 12h, or a moment.")
@click.option("--until", default="now", show_default=True)
@json_option
def alerts_test(rule: str, since: str, until: str, as_json: bool) -> None:
    """When a rule would have fired over stored history: one by its name, or all of a YAML file."""
    chosen = settings_table.load()
    results = [_tested(chosen, each, since, until) for each in _rules_to_test(chosen, rule)]
    if as_json:
        click.echo(dumps(results))
        return
    for found in results:
        click.echo(f"{found['rule']}: fired {found['fired']} times in {found['evaluations']} evaluations,"
                   f" {found['step_seconds']:g} s each")  # fmt: skip
        rows = [[each["active_at"][:19], (each["resolved_at"] or "still")[:19],
                 "" if each["peak"] is None else f"{each['peak']:g}",
                 " ".join(f"{name}={value}" for name, value in each["labels"].items())]
                for each in found["firings"]]  # fmt: skip
        for line in table(["from", "until", "peak", "group"], rows) if rows else ():
            click.echo(f"  {line}".rstrip())
        for note in found["notes"]:
            click.echo(f"  note: {note}")


# ---------------------------------------------------------------------- how


def _rules_to_test(chosen: Settings, name: str) -> list[Rule | str]:
    """The rules of a file, else the name of one that exists."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        return [name]
    if not path.is_file():
        raise PermanentError(f"{name}: there is no such file")
    found = parse(path.read_text(encoding="utf-8"))
    if found.errors:
        raise PermanentError("; ".join(f"{name}:{error.line}: {error.message}" for error in found.errors))
    return [rule for rule, _ in found.rules]


def _tested(chosen: Settings, rule: Rule | str, since: str, until: str) -> dict[str, Any]:
    since = f"-{since}" if seconds_of(since) else since
    if not is_local(chosen):
        what = {"name": rule} if isinstance(rule, str) else {"rule": _members(rule)}
        found: dict[str, Any] = remote(chosen).call(
            "POST", "rules", "test", body={**what, "since": since, "until": until}
        )
        return found
    now = wall_ns()
    with opened(chosen) as control, contextlib.closing(open_logs(chosen)) as store:
        if isinstance(rule, str):
            rule = members_of(rule_there(desk(chosen), rule))
        observing = Observing(chosen, control, store=store, streams=lambda: Streams(connect(locate(chosen))))
        with contextlib.closing(observing):
            tested = backtest(rule, observing, moment(since, now), moment(until, now), Deadline(_TEST_SECONDS))
    notes = [*tested.notes, *([f"only a part was looked at: {tested.partial}"] if tested.partial else [])]
    return {**tested.describe(), "notes": notes}


def _members(rule: Rule) -> dict[str, Any]:
    found = rule.describe()
    if rule.kind == "logs" and rule.condition != "threshold":
        return {name: value for name, value in found.items() if name not in ("operator", "threshold", "recovery")}
    return found


def _act(what: str, identity: str, comment: str) -> dict[str, Any]:
    """Do it; the alert afterwards as the API shows it."""
    chosen = settings_table.load()
    if not is_local(chosen):
        path = "comments" if what == "comment" else what
        answer: dict[str, Any] = remote(chosen).call("POST", "alerts", identity, path, body={"comment": comment})
        return answer
    with opened(chosen) as control:
        known = _alerts(control, chosen)
        before = known.get(identity)
        after = getattr(known, what)(identity, me(), comment)
    local.note(chosen, f"alert.{what}", identity, before=before.describe(), after=after.describe())
    return {**after.describe(), "already_acknowledged": before.state == "acknowledged"}


def _expire(chosen: Settings, identity: str) -> None:
    if not is_local(chosen):
        remote(chosen).call("DELETE", "silences", identity)
        return
    with opened(chosen) as control:
        gone = Silences(control).expire(identity)
    if gone is None:
        raise PermanentError(f"there is no silence {identity}: `monitoring alerts silence` lists them")
    local.note(chosen, "silence.expire", identity, after=gone.describe(wall_ns()))


def _list_silences(chosen: Settings, *, as_json: bool) -> None:
    if is_local(chosen):
        with opened(chosen) as control:
            found = [silence.describe(wall_ns()) for silence in Silences(control).all()]
    else:
        found = remote(chosen).call("GET", "silences")["silences"]
    if as_json:
        click.echo(dumps(found))
        return
    rows = [[each["id"], each["state"], each["ends_at"][:19], each["author"], ", ".join(each["matchers"]),
             each["reason"]] for each in found]  # fmt: skip
    for line in table(["id", "state", "until", "author", "matchers", "reason"], rows) if rows else ():
        click.echo(line)


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(dumps(found))
        return
    for name, value in found.items():
        if isinstance(value, dict):
            value = " ".join(f"{key}={each}" for key, each in value.items())
        if value not in (None, "", [], False):
            click.echo(f"{name}: {', '.join(value) if isinstance(value, list) else value}")


def _states(text: str) -> tuple[str, ...]:
    if text in ("open", "all"):
        return OPEN if text == "open" else STATES
    found = tuple(text.split(","))
    if not set(found) <= set(STATES):
        raise click.BadParameter(f"open, all, or of {', '.join(STATES)}", param_hint="--state")
    return found


def _alerts(control: Control, chosen: Settings) -> Alerts:
    return Alerts(control, base_url=base_url(chosen))
