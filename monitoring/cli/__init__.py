"""The command line: the only place that sees all of the product.

Each command's module is imported when it runs, so that `monitoring logs` does not wait for a web server.
"""

from __future__ import annotations

import difflib
import importlib
from typing import Any, NamedTuple

try:
    import click
except ModuleNotFoundError as error:  # the base installation is for services that only send
    raise SystemExit(
        f"monitoring: commands need more packages ({error.name}): install monitoring-pipeline[server]"
    ) from None

from monitoring import __version__
from monitoring.pipeline.errors import MonitoringError, SettingsError

__all__ = ["COMMANDS", "main"]


class Lazy(NamedTuple):
    """A command that is not imported yet: where it is, which group of the help it belongs to, and what it does."""

    module: str
    attribute: str
    section: str
    summary: str


_RUN, _USE, _CARE = "Run it", "Use it", "Look after it"

COMMANDS: dict[str, Lazy] = {
    "up": Lazy("monitoring.cli.up", "up", _RUN, "Run everything on this machine until Ctrl-C."),
    "api": Lazy("monitoring.cli.up", "api", _RUN, "Run the HTTP API alone."),
    "worker": Lazy("monitoring.cli.up", "worker", _RUN, "Run workers alone, as many as you like, on any queues."),
    "ticker": Lazy("monitoring.cli.up", "ticker", _RUN, "Run the ticker alone: it starts what should be running."),
    "collect": Lazy("monitoring.cli.collect", "collect", _RUN, "Measure this host: CPU, memory, disks, network, GPUs."),
    "listen": Lazy("monitoring.cli.listen", "listen", _RUN, "Take syslog over UDP, TCP and TLS."),
    "ingest": Lazy("monitoring.cli.ingest", "ingest", _USE, "Read log files, or standard input, into the store."),
    "logs": Lazy("monitoring.cli.search", "logs", _USE, "Search the logs: monitoring logs 'timeout level:error'"),
    "metrics": Lazy("monitoring.cli.metrics", "metrics", _USE, "Draw metrics: monitoring metrics request_rate"),
    "demo": Lazy("monitoring.cli.demo", "demo", _USE, "Play an LLM platform into the instance, to look around."),
    "searches": Lazy("monitoring.cli.searches", "searches", _USE, "Saved searches: save, list, remove."),
    "login": Lazy("monitoring.cli.login", "login", _USE, "Print a link that logs a browser in, once."),
    "alerts": Lazy("monitoring.cli.alerts", "alerts", _USE, "What is wrong: list, acknowledge, silence; rules."),
    "report": Lazy("monitoring.cli.report", "report", _USE, "What the last day was like, on a page."),
    "status": Lazy("monitoring.cli.operate", "status", _CARE, "Lag, rates, drops and dead letters, by partition."),
    "verify": Lazy("monitoring.cli.operate", "verify", _CARE, "Check every segment, the catalog and the books."),
    "doctor": Lazy("monitoring.cli.doctor", "doctor", _CARE, "What is set up wrongly, and what to do about it."),
    "config": Lazy("monitoring.cli.operate", "config", _CARE, "Settings in force and where each comes from."),
    "keys": Lazy("monitoring.cli.admin", "keys", _CARE, "API keys: create, list, revoke."),
    "audit": Lazy("monitoring.cli.audit", "audit", _CARE, "Who changed what, when and from where."),
    "channels": Lazy("monitoring.cli.channels", "channels", _CARE, "Where notifications go: list, add, remove, test."),
    "dead-letters": Lazy("monitoring.cli.admin", "dead_letters", _CARE, "Input that was not understood: list, replay."),
    "retention": Lazy("monitoring.cli.admin", "retention", _CARE, "Delete what is too old or too much, now."),
    "purge": Lazy("monitoring.cli.purge", "purge", _CARE, "Take the events that match a query out, for good."),
    "backup": Lazy("monitoring.cli.backup", "backup", _CARE, "Back up everything, while it runs."),
    "restore": Lazy("monitoring.cli.backup", "restore", _CARE, "Bring a backup back, and verify it."),
}


class _Commands(click.Group):
    """Finds commands in the table, and ends with one line and the right status where one fails."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        lazy = COMMANDS.get(cmd_name)
        if lazy is None:
            return None
        command: click.Command = getattr(importlib.import_module(lazy.module), lazy.attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest name where there is no such command."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            ctx.fail(f"no command {args[0]!r}" + (f"; did you mean {near[0]!r}?" if near else "; see --help"))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by what one wants to do, without importing any."""
        for section in (_RUN, _USE, _CARE):
            rows = [(name, lazy.summary) for name, lazy in COMMANDS.items() if lazy.section == section]
            with formatter.section(section):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it raises on purpose is one line on standard error."""
        try:
            return super().invoke(ctx)
        except MonitoringError as error:
            click.echo(f"monitoring: {error}", err=True)
            ctx.exit(2 if isinstance(error, SettingsError) else 1)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Settings are MONITORING_* variables of the environment: `monitoring config` lists them. "
    "Exit status: 0 done, 1 failed, 2 wrong usage.",
)
@click.version_option(__version__, prog_name="monitoring")
def main() -> None:
    """Logging and monitoring for Python teams, on your own machine.

    \b
    A first line in and out:
        monitoring up                          in one terminal
        echo 'hello world' | monitoring ingest -
        monitoring logs hello
    """
