"""`monitoring alerts`: what is wrong, who takes care of it, rules and silences.

On the data directory of this machine, else over HTTP (see access.py). The owner of the directory acts under the name
of the login.
"""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import orjson

from monitoring.cli.access import is_local, remote
from monitoring.cli.charts import table
from monitoring.cli.instance import noted_address
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.addresses import public_url
from monitoring.pipeline.alerts.alert import OPEN, STATES
from monitoring.pipeline.alerts.backtest import backtest
from monitoring.pipeline.alerts.durations import seconds_of
from monitoring.pipeline.alerts.files import dumps, parse
from monitoring.pipeline.alerts.rule import Rule
from monitoring.pipeline.alerts.silence import matchers_of
from monitoring.pipeline.bus.embedded import locate
from monitoring.pipeline.bus.streams import Streams, connect
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import moment
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store import rule_files
from monitoring.pipeline.store.alerts import Alerts
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.pipeline.store.logs import open_logs
from monitoring.pipeline.store.observing import Observing
from monitoring.pipeline.store.rules import Rules
from monitoring.pipeline.store.silences import Silences

__all__ = ["alerts"]

_json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")
_TEST_SECONDS = 120.0
"""A backtest of a month may take a while; who waits at a terminal can end it."""


@click.group()
def alerts() -> None:
    """Alerts: list, acknowledge, silence; rules: show, test, export."""


@alerts.command("list")
@click.option("--state", default="open", show_default=True, help="open, all, or states divided by commas.")
@_json_option
def alerts_list(state: str, as_json: bool) -> None:
    """The alerts that are open, the newest first."""
    chosen = settings_table.load()
    if is_local(chosen):
        with _control(chosen) as control:
            found = [alert.describe() for alert in _alerts(control, chosen).all(_states(state))]
    else:
        found = remote(chosen).call("GET", "alerts", query={"state": state, "limit": "1000"})["alerts"]
    if as_json:
        click.echo(_dumps(found))
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
@_json_option
def alerts_show(identity: str, as_json: bool) -> None:
    """One alert with all that is known of it."""
    chosen = settings_table.load()
    if is_local(chosen):
        with _control(chosen) as control:
            known = _alerts(control, chosen)
            alert = known.get(identity)
            found = {**alert.describe(), "links": known.links(alert)}
    else:
        found = remote(chosen).call("GET", "alerts", identity)
    _show(found, as_json=as_json)


@alerts.command("history")
@click.argument("identity", metavar="ID")
@_json_option
def alerts_history(identity: str, as_json: bool) -> None:
    """All that happened to an alert, the oldest first."""
    chosen = settings_table.load()
    if is_local(chosen):
        with _control(chosen) as control:
            found = _alerts(control, chosen).history(identity)
    else:
        found = remote(chosen).call("GET", "alerts", identity, "history")["history"]
    if as_json:
        click.echo(_dumps(found))
        return
    for each in found:
        what = f"{each['from'] or '(new)'} -> {each['to']}" if each["kind"] == "transition" else each["kind"]
        value = "" if each["value"] is None else f" at {each['value']:g}"
        click.echo(f"{each['at'][:19]}  {what}{value}  by {each['actor']}  {each['note']}".rstrip())


@alerts.command("ack")
@click.argument("identity", metavar="ID")
@click.option("--comment", default="", help="What you are about to do.")
def alerts_ack(identity: str, comment: str) -> None:
    """Take care of an alert: it is not escalated any further."""
    _act("acknowledge", identity, comment)
    click.echo(f"acknowledged {identity}")


@alerts.command("resolve")
@click.argument("identity", metavar="ID")
@click.option("--comment", default="", help="What it was.")
def alerts_resolve(identity: str, comment: str) -> None:
    """Say that an alert is over. If its condition still holds after the cooldown, it comes back."""
    _act("resolve", identity, comment)
    click.echo(f"resolved {identity}")


@alerts.command("silence")
@click.argument("matchers", nargs=-1, metavar="MATCHER...")
@click.option("--for", "length", default="1h", show_default=True, help="How long: 30m, 2h, 7d.")
@click.option("--reason", default="", help="Why; needed.")
@click.option("--expire", metavar="ID", help="End this silence now instead.")
@_json_option
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
        with _control(chosen) as control:
            now = wall_ns()
            made = Silences(control).add(
                matchers_of(list(matchers)), now, now + seconds * 1_000_000_000, _me(), reason
            )  # fmt: skip
            found = made.describe(now)
    else:
        body = {"matchers": list(matchers), "ends_at": f"+{seconds}s", "reason": reason}
        found = remote(chosen).call("POST", "silences", body=body)
    click.echo(_dumps(found) if as_json else f"silenced until {found['ends_at'][:19]}Z as {found['id']}")


@alerts.command("rules")
@_json_option
def alerts_rules(as_json: bool) -> None:
    """All rules with how their last evaluation went, and what is wrong in files of rules."""
    chosen = settings_table.load()
    if is_local(chosen):
        with _control(chosen) as control:
            found = {
                "rules": [stored.describe() for stored in Rules(control).all()],
                "files": [file.describe() for file in rule_files.files(control)],
            }
    else:
        found = remote(chosen).call("GET", "rules")
    if as_json:
        click.echo(_dumps(found))
        return
    rows = [[each["name"], each["kind"], each["source"], each["status"]["state"], each["status"]["note"][:80]]
            for each in found["rules"]]  # fmt: skip
    for line in table(["name", "kind", "from", "state", ""], rows) if rows else ():
        click.echo(line.rstrip())
    for file in found["files"]:
        for error in file["errors"]:
            click.echo(f"{file['path']}:{error['line']}: {error['message']}", err=True)


@alerts.command("export")
def alerts_export() -> None:
    """All rules as a YAML file, on standard output."""
    chosen = settings_table.load()
    if is_local(chosen):
        with _control(chosen) as control:
            text = dumps([stored.rule for stored in Rules(control).all() if stored.rule.kind != "delivery"])
    else:
        text = remote(chosen).call("GET", "rules", "export")["yaml"]
    click.echo(text, nl=False)


@alerts.command("test")
@click.argument("rule", metavar="RULE|FILE")
@click.option("--since", default="7d", show_default=True, help="How far back: 7d, 12h, or a moment.")
@click.option("--until", default="now", show_default=True)
@_json_option
def alerts_test(rule: str, since: str, until: str, as_json: bool) -> None:
    """When a rule would have fired over stored history: one by its name, or all of a YAML file."""
    chosen = settings_table.load()
    results = [_tested(chosen, each, since, until) for each in _rules_to_test(chosen, rule)]
    if as_json:
        click.echo(_dumps(results))
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
    with _control(chosen) as control, contextlib.closing(open_logs(chosen)) as store:
        if isinstance(rule, str):
            stored = Rules(control).get(rule)
            if stored is None:
                raise PermanentError(f"there is no rule {rule!r}: `monitoring alerts rules` shows all")
            rule = stored.rule
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


def _act(what: str, identity: str, comment: str) -> None:
    chosen = settings_table.load()
    if not is_local(chosen):
        remote(chosen).call("POST", "alerts", identity, what, body={"comment": comment})
        return
    with _control(chosen) as control:
        getattr(_alerts(control, chosen), what)(identity, _me(), comment)


def _expire(chosen: Settings, identity: str) -> None:
    if not is_local(chosen):
        remote(chosen).call("DELETE", "silences", identity)
        return
    with _control(chosen) as control:
        if Silences(control).expire(identity) is None:
            raise PermanentError(f"there is no silence {identity}: `monitoring alerts silence` lists them")


def _list_silences(chosen: Settings, *, as_json: bool) -> None:
    if is_local(chosen):
        with _control(chosen) as control:
            found = [silence.describe(wall_ns()) for silence in Silences(control).all()]
    else:
        found = remote(chosen).call("GET", "silences")["silences"]
    if as_json:
        click.echo(_dumps(found))
        return
    rows = [[each["id"], each["state"], each["ends_at"][:19], each["author"], ", ".join(each["matchers"]),
             each["reason"]] for each in found]  # fmt: skip
    for line in table(["id", "state", "until", "author", "matchers", "reason"], rows) if rows else ():
        click.echo(line)


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(_dumps(found))
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
    """Links lead to the API that runs here, whose port the shell of a command need not know."""
    base = chosen.text("public_url") or noted_address(chosen.data)
    return Alerts(control, base_url=base.rstrip("/") or public_url(chosen))


@contextlib.contextmanager
def _control(chosen: Settings) -> Iterator[Control]:
    with contextlib.closing(Control(chosen.data / FILE_NAME)) as control:
        yield control


def _me() -> str:
    """Who acts, for the history."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "owner"


def _dumps(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
