"""`monitoring channels`: where notifications go."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import click
import orjson

from monitoring.cli import local
from monitoring.cli.access import is_local, remote
from monitoring.cli.alerting import base_url, warn
from monitoring.cli.charts import table
from monitoring.cli.instance import runs_here
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.channel_test import outcome, put_test
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.channel_kinds import KINDS
from monitoring.pipeline.store.channels import OF_ENVIRONMENT, Channels
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.pipeline.store.outbox import Outbox

__all__ = ["channels"]

_json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")
_TEST_SECONDS = 20.0
"""How long a test waits for the far end: a delivery ends within fifteen."""
_LISTS = ("to",)
_MAPS = ("headers",)
_NUMBERS = ("port", "rate_per_minute", "deadline_seconds")


@click.group()
def channels() -> None:
    """Channels: where notifications go."""


@channels.command("list")
@_json_option
def channels_list(as_json: bool) -> None:
    """All channels without their secrets, those of the environment included."""
    chosen = settings_table.load()
    if is_local(chosen):
        with _channels(chosen) as found:
            rows = [channel.describe() for channel in found.all()]
    else:
        rows = remote(chosen).call("GET", "channels")["channels"]
    if as_json:
        click.echo(orjson.dumps(rows))
        return
    for line in table(["name", "kind", "to", "default", "state"], [_row(row) for row in rows]) if rows else ():
        click.echo(line)


def _row(channel: dict[str, Any]) -> list[str]:
    config = channel["config"]
    where = ", ".join(config["to"]) if "to" in config else str(config.get("url", ""))
    state = channel["problem"] or ("on" if channel["enabled"] else "off")
    return [channel["name"], channel["kind"], where, "yes" if channel["default"] else "no", state]


@channels.command("add")
@click.argument("name")
@click.option("--kind", type=click.Choice(list(KINDS)), required=True)
@click.option(
    "--set", "pairs", metavar="MEMBER=VALUE", multiple=True,
    help="A member of the config; repeatable. VALUE: text, env:NAME (from the environment of the worker), or - (asked "
    "for, or read from standard input). Lists with commas, headers as headers.NAME=VALUE.",
)  # fmt: skip
@click.option("--default", is_flag=True, help="Rules that name no channels use it.")
@_json_option
def channels_add(name: str, kind: str, pairs: tuple[str, ...], default: bool, as_json: bool) -> None:
    """Make a channel called NAME, or change it.

    \b
        monitoring channels add ops --kind slack --set url=- --default
        monitoring channels add mail --kind email --set server=smtp.example.com --set from=mon@example.com \\
            --set to=ops@example.com,boss@example.com --set username=mon --set password=env:MAIL_PASSWORD
        monitoring channels add hook --kind webhook --set url=https://hooks.example.com/in --set secret=-
    """
    chosen = settings_table.load()
    config = _config(pairs)
    if is_local(chosen):
        with _channels(chosen) as table_:
            found = table_.save(name, kind, config, default=default).describe()
        local.note(chosen, "channel.save", name, after=found)
    else:
        body = {"kind": kind, "config": config, "default": default}
        found = remote(chosen).call("PUT", "channels", name, body=body)
    if found["problem"]:
        warn([f"nothing can be sent: {found['problem']}"])
    click.echo(orjson.dumps(found) if as_json else f"saved; try it with: monitoring channels test {name}")


def _config(pairs: tuple[str, ...]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for pair in pairs:
        member, sign, text = pair.partition("=")
        if not sign:
            raise click.UsageError(f"--set {member}: expected MEMBER=VALUE")
        parent, dot, header = member.partition(".")
        if dot and parent in _MAPS:
            config.setdefault(parent, {})[header] = _value(member, text)
        else:
            config[member] = _value(member, text)
    return config


def _value(member: str, text: str) -> Any:
    if text == "-":
        return click.prompt(member, hide_input=True) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if text.startswith("env:"):
        return {"env": text.removeprefix("env:")}
    if member in _LISTS:
        return [each.strip() for each in text.split(",") if each.strip()]
    if member in _NUMBERS:
        try:
            return int(text) if text.isdecimal() else float(text)
        except ValueError:
            raise click.UsageError(f"--set {member}={text}: expected a number") from None
    return text


@channels.command("remove")
@click.argument("name")
def channels_remove(name: str) -> None:
    """Forget the channel called NAME; what waits for it is dropped."""
    chosen = settings_table.load()
    if not is_local(chosen):
        remote(chosen).call("DELETE", "channels", name)
    else:
        with _channels(chosen) as found:
            gone = found.remove(name)
        if gone is None:
            raise PermanentError(_missing(name))
        local.note(chosen, "channel.remove", name, before=gone.describe())
    click.echo(f"removed {name}")


@channels.command("test")
@click.argument("name")
@_json_option
def channels_test(name: str, as_json: bool) -> None:
    """Send a test message through the channel called NAME, now, and say what the far end said.

    Where `monitoring up` runs, its worker sends it, with the environment that real notifications have. Where nothing
    runs, this command sends it itself, with the environment of this shell.
    """
    chosen = settings_table.load()
    if not is_local(chosen):
        answer: dict[str, Any] = remote(chosen).call("POST", "channels", name, "test")
    elif runs_here(chosen.data):
        answer = _test_by_worker(chosen, name)
    else:
        answer = _test_here(chosen, name)
        warn(
            ["nothing runs here: this was tried with the environment of this shell; that of `monitoring up` may differ"]
        )
    if as_json:
        click.echo(orjson.dumps(answer))
    if not answer["delivered"]:
        raise PermanentError(f"{name}: not delivered: {answer['said']}")
    if not as_json:
        click.echo(f"{name}: delivered: {answer['said']}")


def _test_here(chosen: Settings, name: str) -> dict[str, Any]:
    from monitoring.consumers.notify import test_now

    with _channels(chosen) as found:
        channel = found.get(name)
    if channel is None:
        raise PermanentError(_missing(name))
    delivered, said = test_now(chosen, channel)
    return {"delivered": delivered, "said": said}


def _test_by_worker(chosen: Settings, name: str) -> dict[str, Any]:
    """As over the API; the ticker sees within a second that there is something to deliver."""
    with contextlib.closing(Control(chosen.data / FILE_NAME)) as control:
        key = put_test(control, name, base_url(chosen), wall_ns())
        answer = outcome(Outbox(control), key, _TEST_SECONDS)
    if answer["delivered"] is None:
        answer["said"] = f"no worker has taken it within {_TEST_SECONDS:g} s; `monitoring status` tells more"
    return answer


def _missing(name: str) -> str:
    hint = (
        " (those of ENABLE_EMAIL_ALERTS and ENABLE_SLACK_ALERTS: where these are set)" if name in OF_ENVIRONMENT else ""
    )
    return f"there is no channel {name!r}: `monitoring channels list` shows all{hint}"


@contextlib.contextmanager
def _channels(chosen: Settings) -> Iterator[Channels]:
    with contextlib.closing(Control(chosen.data / FILE_NAME)) as control:
        yield Channels(control, chosen)
