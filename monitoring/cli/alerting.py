"""What the commands about alerts, rules and windows share."""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Iterator
from typing import Any

import click
import orjson

from monitoring.cli.instance import noted_address
from monitoring.pipeline.addresses import public_url
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.control import FILE_NAME, Control

__all__ = ["base_url", "dumps", "json_option", "me", "opened", "warn"]

json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


@contextlib.contextmanager
def opened(chosen: Settings) -> Iterator[Control]:
    """control.db of the data directory of this machine."""
    with contextlib.closing(Control(chosen.data / FILE_NAME)) as control:
        yield control


def base_url(chosen: Settings) -> str:
    """Where links lead: to the API that runs here, whose port the shell of a command need not know."""
    return (chosen.text("public_url") or noted_address(chosen.data)).rstrip("/") or public_url(chosen)


def me() -> str:
    """Who acts, for the history."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "owner"


def dumps(value: Any) -> str:
    """As JSON for programs and people."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def warn(lines: list[str]) -> None:
    """On standard error, so that programs that read the answer are not disturbed."""
    for line in lines:
        click.echo(f"{click.style('warning:', fg='yellow')} {line}", err=True)
