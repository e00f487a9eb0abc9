"""`monitoring doctor`: what is set up wrongly here, and what to do about it."""

from __future__ import annotations

import os

import click
import orjson

from monitoring.cli.instance import noted_address
from monitoring.pipeline.doctor.examine import examine

__all__ = ["doctor"]

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs: a list of checks with level, finding and advice.")
def doctor(as_json: bool) -> None:
    """Look for what is usually set up wrongly, and say what to do; exit code 1 where there is a problem.

    Run it with the environment of `monitoring up`, as its user, while that runs or before it does. It changes
    nothing and sends nothing.
    """
    found = examine(os.environ, running=lambda chosen: bool(noted_address(chosen.data)))
    if as_json:
        rows = [{"check": name, **finding._asdict()} for name, finding in found]
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
    else:
        width = max(len(name) for name, _ in found)
        for name, finding in found:
            level = click.style(f"{finding.level:<7}", fg=_COLOURS[finding.level])
            click.echo(f"{level}  {name:<{width}}  {finding.said}")
            if finding.advice:
                click.echo(f"{'':<{width + 11}}-> {finding.advice}")
        problems, warnings = (sum(finding.level == level for _, finding in found) for level in ("problem", "warning"))
        click.echo(f"{len(found)} checks, {problems} problems, {warnings} warnings")
    if any(finding.level == "problem" for _, finding in found):
        raise click.exceptions.Exit(1)
