"""`monitoring alerts windows`: times that come again, in which alerts that match are not told."""

from __future__ import annotations

from typing import Any

import click

from monitoring.cli import local
from monitoring.cli.access import is_local, remote
from monitoring.cli.alerting import dumps, json_option, me, opened, warn
from monitoring.cli.charts import table
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.alerts.window import DAYS, window_of
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.store import matching
from monitoring.pipeline.store.silences import Windows

__all__ = ["windows"]


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def windows(context: click.Context, as_json: bool) -> None:
    """Maintenance windows: list, save, remove; without a command: list.

    \b
        monitoring alerts windows save backup 'host=~db-.*' --start 02:00 --for 90m --days sat,sun --zone Europe/Berlin

    A window begins by the clocks of its time zone, in summer and winter, and lasts for real time. What is still active
    when it ends is told then. For a single time, `monitoring alerts silence`.
    """
    if context.invoked_subcommand is None:
        _list(as_json=as_json)


@windows.command("list")
@json_option
def windows_list(as_json: bool) -> None:
    """All windows, and whether each is in force now."""
    _list(as_json=as_json)


def _list(*, as_json: bool) -> None:
    chosen = settings_table.load()
    if is_local(chosen):
        with opened(chosen) as control:
            found = [window.describe(wall_ns()) for window in Windows(control).all()]
    else:
        found = remote(chosen).call("GET", "maintenance-windows")["maintenance_windows"]
    if as_json:
        click.echo(dumps(found))
        return
    for line in (
        table(["name", "days", "start", "for", "zone", "state", "matchers"], list(map(_row, found))) if found else ()
    ):
        click.echo(line)


def _row(window: dict[str, Any]) -> list[str]:
    days = "all" if len(window["days"]) == len(DAYS) else ",".join(window["days"])
    state = "off" if not window["enabled"] else "in force" if window["active"] else "waits"
    return [window["name"], days, window["start"], window["duration"], window["time_zone"], state,
            ", ".join(window["matchers"])]  # fmt: skip


@windows.command("save")
@click.argument("name")
@click.argument("matchers", nargs=-1, required=True, metavar="MATCHER...")
@click.option("--start", required=True, help="When it begins: a time of day like 22:30.")
@click.option("--for", "length", required=True, help="How long it lasts: 30m, 2h.")
@click.option("--days", default="", help=f"On which days, with commas: of {','.join(DAYS)}.  [default: all]")
@click.option("--zone", default="UTC", show_default=True, help="Whose clocks: like Europe/Berlin.")
@click.option("--from", "first", help="The first date, like 2026-12-24.")
@click.option("--until", "last", help="The last date.")
@click.option("--reason", default="", help="For others to read.")
@click.option("--off", is_flag=True, help="Keep it, but not in force.")
@json_option
def windows_save(
    name: str, matchers: tuple[str, ...], length: str, days: str, zone: str, as_json: bool, **given: Any
) -> None:
    """Save a window called NAME for alerts that meet every MATCHER, in place of what had its name."""
    chosen = settings_table.load()
    members: dict[str, Any] = {
        "matchers": list(matchers), "start": given["start"], "duration": length, "time_zone": zone,
        "from": given["first"], "until": given["last"], "reason": given["reason"], "enabled": not given["off"],
        "days": [day.strip() for day in days.split(",")] if days else None,
    }  # fmt: skip
    members = {member: value for member, value in members.items() if value is not None}
    if is_local(chosen):
        with opened(chosen) as control:
            window = Windows(control).save(window_of({**members, "name": name}, me()))
            found = {**window.describe(wall_ns()), **matching.described(control, window.matchers)}
        local.note(chosen, "window.save", name, after=found)
    else:
        found = remote(chosen).call("PUT", "maintenance-windows", name, body=members)
    warn(found["warnings"])
    state = "in force now" if found["active"] else "not in force now"
    click.echo(dumps(found) if as_json else f"saved {name}: {state}; it matches {found['matching']} open alerts")


@windows.command("remove")
@click.argument("name")
@json_option
def windows_remove(name: str, as_json: bool) -> None:
    """Forget the window called NAME; what it kept quiet and is still active is told at the next evaluation."""
    chosen = settings_table.load()
    if is_local(chosen):
        with opened(chosen) as control:
            gone = Windows(control).remove(name)
        if gone is None:
            raise PermanentError(f"there is no window {name!r}: `monitoring alerts windows` lists them")
        found = gone.describe(wall_ns())
        local.note(chosen, "window.remove", name, before=found)
    else:
        found = remote(chosen).call("DELETE", "maintenance-windows", name)
    click.echo(dumps(found) if as_json else f"removed {name}")
