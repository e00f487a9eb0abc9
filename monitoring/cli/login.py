"""`monitoring login`: a link that logs a browser in, once. Whoever owns the data directory may have one."""

from __future__ import annotations

import contextlib

import click

from monitoring.cli.access import is_local
from monitoring.cli.instance import noted_address
from monitoring.cli.local import note
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.errors import SettingsError
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.pipeline.store.keys import ROLES
from monitoring.pipeline.store.sessions import Sessions

__all__ = ["login", "login_link"]

_OWNER = "owner"
"""Name of the session of whoever can read the data directory."""
_READING_ROLES = ROLES[1:]


@click.command()
@click.option("--role", type=click.Choice(_READING_ROLES), default="admin", show_default=True, help="What it may do.")
def login(role: str) -> None:
    """Print a link that logs a browser in, once, within ten minutes.

    For the owner of the data directory. Elsewhere, log in with an API key on the page itself.
    """
    chosen = settings_table.load()
    if not is_local(chosen):
        raise SettingsError("links are made on the instance's own machine; log in with an API key on its page")
    host, port = chosen.text("host"), chosen.whole("port")
    address = noted_address(chosen.data) or f"http://{f'[{host}]' if ':' in host else host}:{port}"
    click.echo(login_link(chosen, address, role))


def login_link(chosen: Settings, address: str, role: str = "admin") -> str:
    """A link on the API at this address, on record in the audit log."""
    with contextlib.closing(Control(chosen.data / FILE_NAME)) as control:
        sessions = Sessions(control, lifetime_seconds=chosen.number("session_lifetime"))
        token = sessions.invite(_OWNER, role)
    note(chosen, "session.invite", _OWNER, after={"role": role})
    return f"{address}/login?token={token}"
