"""`monitoring ingest FILE…`: read log files, or standard input, into the store."""

from __future__ import annotations

import math
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, timedelta, timezone, tzinfo
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

import click
import orjson

from monitoring.pipeline import failpoint
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.events.defaults import host_name
from monitoring.pipeline.events.formats.known import NAMES, by_name
from monitoring.pipeline.ingest.feed import Options
from monitoring.pipeline.ingest.lanes import Lanes
from monitoring.pipeline.ingest.report import FileReport, Report
from monitoring.pipeline.ingest.run import Ingest, Tuning
from monitoring.pipeline.ingest.state import IngestState
from monitoring.pipeline.publish.connect import transport_from
from monitoring.pipeline.settings import Settings

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["ingest", "parse_zone", "render", "summary"]

_HOUR_NS = 3600 * 10**9
_REFRESH_SECONDS = 0.1
_COMPLAIN_SECONDS = 10.0
"""Without a terminal, how often to say that nothing gets through."""


class _Zone(click.ParamType[tzinfo | None]):
    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tzinfo | None:
        """The zone of a name, or None for this machine's."""
        try:
            return parse_zone(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def parse_zone(text: str) -> tzinfo | None:
    """`Europe/Berlin`, `UTC`, `+02:00`, or `local`, which is None. Raises ValueError."""
    import zoneinfo

    if text.lower() == "local":
        return None
    if text.upper() in ("UTC", "Z"):
        return UTC
    offset = re.fullmatch(r"([+-])(\d\d?)(?::?([0-5]\d))?", text)
    if offset is not None and int(offset[2]) < 24:
        minutes = int(offset[2]) * 60 + int(offset[3] or 0)
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    try:
        return zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {text}; expected a name like Europe/Berlin, or +02:00") from None


@click.command(epilog=f"Formats: {', '.join(NAMES)}. Without --format each file's is told by looking.")
@click.argument("files", nargs=-1, required=True, metavar="FILE…|-")
@click.option(
    "--format",
    "format_name",
    metavar="NAME",
    help="The format, where looking would be wrong; other lines are rejected.",
)
@click.option(
    "--service", metavar="NAME", help="Service of all these events. Default: what they say, else the file's name."
)
@click.option("--environment", metavar="NAME", help="Environment of events that name none.")
@click.option(
    "--timezone",
    "zone",
    type=_Zone(),
    default="local",
    show_default=True,
    help="Where times without zone were written.",
)
@click.option("-F", "--follow", is_flag=True, help="Go on reading what is written, across rotation, until Ctrl-C.")
@click.option("--again", is_flag=True, help="Read files from their start, even what earlier runs have read.")
@click.option("--json", "as_json", is_flag=True, help="For programs: the summary as JSON.")
@click.pass_context
def ingest(
    ctx: click.Context,
    files: tuple[str, ...],
    format_name: str | None,
    service: str | None,
    environment: str | None,
    zone: tzinfo | None,
    follow: bool,
    again: bool,
    as_json: bool,
) -> None:
    """Read log files, plain or compressed, or standard input (-) into the store.

    Each line arrives exactly once, however often this is interrupted or repeated: a file is read on from where
    the last run stopped. Lines that cannot be understood are kept: `monitoring dead-letters`.
    """
    chosen = settings_table.load()
    failpoint.arm(chosen.path("failpoint_dir"))
    if follow and "-" in files:
        raise click.UsageError("standard input is followed to its end anyway: leave --follow out")
    if files.count("-") > 1:
        raise click.UsageError("there is only one standard input")
    options = Options(
        file_format=by_name(format_name) if format_name else None,
        service=service or chosen.text("service"),
        environment=environment or chosen.text("environment"),
        release=chosen.text("release"),
        host=host_name(),
        zone=zone,
    )
    stop = _Stop()
    with _Display(follow=follow, quiet=as_json) as display, stop:
        report = _run(chosen, options, files, follow=follow, again=again, stop=stop.requested, watch=display.watch)
    for file in report.files:
        if file.outcome == "unreadable":
            click.echo(f"monitoring: {file.problem}", err=True)
    if as_json:
        click.echo(orjson.dumps(summary(report), option=orjson.OPT_INDENT_2))
    elif any(file.outcome != "unreadable" for file in report.files) or report.recovered:
        click.echo(render(report, now_ns=time.time_ns()))
    ctx.exit(_status(report, follow, stop.signal_number))


def _run(
    chosen: Settings,
    options: Options,
    files: tuple[str, ...],
    *,
    follow: bool,
    again: bool,
    stop: Callable[[], bool],
    watch: Callable[[Report], None],
) -> Report:
    with closing(transport_from(chosen)) as transport:
        transport.partitions("logs")  # say that nobody is there before anything is read
    tuning = Tuning(chosen.whole("frame_events"), chosen.number("flush_interval"))
    with (
        closing(IngestState(chosen.data)) as state,
        closing(Lanes(state, lambda: transport_from(chosen))) as lanes,
        closing(Ingest(state, lanes, options, tuning=tuning, again=again, stop=stop, watch=watch)) as run,
    ):
        if follow:
            return run.follow([Path(name) for name in files])
        return run.run([None if name == "-" else Path(name) for name in files])


def _status(report: Report, follow: bool, signal_number: int) -> int:
    """0 done; 1 nothing could be read; 128 and the signal where the run was stopped before its end."""
    if all(file.outcome == "unreadable" for file in report.files) and not report.recovered:
        return 1
    stopped = any(file.outcome == "stopped" for file in report.files) or report.in_flight > 0
    return 128 + signal_number if signal_number and stopped and not follow else 0


class _Stop:
    """Ctrl-C or SIGTERM asks the run to end at the next place it can go on from; a second one ends it at once."""

    def __init__(self) -> None:
        self.signal_number = 0
        self._before: dict[int, Any] = {}

    def requested(self) -> bool:
        """Whether a signal has come."""
        return self.signal_number != 0

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal_number = number
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)


class _Display:
    """How it goes, on standard error: a bar on a terminal, else a word when nothing gets through."""

    def __init__(self, *, follow: bool, quiet: bool) -> None:
        self._follow = follow
        self._bar = sys.stderr.isatty() and not quiet
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._shown_at = float("-inf")
        self._moved_at = time.monotonic()
        self._in_flight = 0

    def __enter__(self) -> _Display:
        if self._bar:
            self._progress = _progress()
            self._progress.start()
            self._task = self._progress.add_task("reading", total=None, events=0, rate=0.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def watch(self, report: Report) -> None:
        """Show the report so far; cheap, and at most ten times a second."""
        now = time.monotonic()
        if now - self._shown_at < _REFRESH_SECONDS:
            return
        self._shown_at = now
        if report.in_flight != self._in_flight or not report.in_flight:
            self._in_flight, self._moved_at = report.in_flight, now
        if self._progress is None:
            if now - self._moved_at >= _COMPLAIN_SECONDS:
                self._moved_at = now
                click.echo(f"monitoring: {waiting(report)}", err=True)
            return
        assert self._task is not None  # noqa: S101 - made with the progress
        count = report.events + report.rejected
        slow = now - self._moved_at > 2.0
        self._progress.update(
            self._task,
            description=waiting(report) if slow else _activity(report, self._follow),
            total=report.total_bytes,
            completed=report.done_bytes,
            events=count,
            rate=count / report.seconds if report.seconds else 0.0,
        )
        self._progress.refresh()


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[events]:,} events  {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
    )


def _activity(report: Report, follow: bool) -> str:
    name = Path(report.files[-1].name).name if report.files else ""
    return f"following {len(report.files)} files" if follow and len(report.files) > 1 else name


def waiting(report: Report) -> str:
    """Why nothing gets through."""
    why = report.trouble or "nobody has stored them yet; is `monitoring up` running?"
    return f"waiting for the store: {report.in_flight:,} events are on their way ({why})"


# --- the summary -----------------------------------------------------------------------------------------


def summary(report: Report) -> dict[str, Any]:
    """The report as JSON members."""
    seconds = round(report.seconds, 3)
    return {
        "events": report.events,
        "rejected": report.rejected,
        "reasons": {reason: asdict(found) for reason, found in report.reasons.items()},
        "files": [asdict(file) for file in report.files],
        "recovered": report.recovered,
        "in_flight": report.in_flight,
        "seconds": seconds,
        "events_per_second": round(report.events / seconds) if seconds else None,
        "interrupted": report.interrupted,
        "oldest": rfc3339(report.oldest_ns) if report.events else None,
        "newest": rfc3339(report.newest_ns) if report.events else None,
        "next": next_command(report, time.time_ns()),
    }


def render(report: Report, *, now_ns: int) -> str:
    """The report for people."""
    lines = [_file_line(file) for file in report.files if file.outcome != "unreadable"]
    if report.recovered:
        lines.append(f"{report.recovered:,} events of an earlier run were still on their way and were sent again.")
    rate = f" ({report.events / report.seconds:,.0f}/s)" if report.seconds >= 0.1 and report.events else ""
    total = f"{report.events:,} events in {report.seconds:.1f} s{rate}"
    if report.in_flight:
        lines.append(f"{total}; {report.in_flight:,} of what was sent is not confirmed yet. It is safe in ingest.db:")
        lines.append("run the same command again, and it will be sent until it is stored, once.")
    else:
        lines.append(f"{total}, all of them stored.")
    if report.rejected:
        lines.append(f"{report.rejected:,} lines were rejected; they are kept (monitoring dead-letters):")
        for reason, found in sorted(report.reasons.items(), key=lambda item: -item[1].count):
            lines.append(f"  {found.count:>7,}  {reason}  ({', '.join(found.examples)})")
    command = next_command(report, now_ns)
    return "\n".join([*lines, f"Next: {command}"] if command else lines)


def _file_line(file: FileReport) -> str:
    name = file.name
    if file.outcome == "unchanged":
        return f"{name}: nothing new since the last run ({file.lines:,} lines; --again reads it from its start)"
    parts = [f"{file.events:,} events", f"format {file.format}" if file.format else "empty"]
    if file.rejected:
        parts.insert(1, f"{file.rejected:,} rejected")
    if file.resumed_at_line:
        parts.append(f"from line {file.resumed_at_line:,} on")
    if file.outcome == "stopped":
        parts.append(f"stopped behind line {file.lines:,}")
    if file.problem:
        parts.append(file.problem.removeprefix(name).lstrip(" :"))
    return f"{name}: {', '.join(parts)}"


def next_command(report: Report, now_ns: int) -> str:
    """The command that shows what was read; "" where there is nothing to see."""
    if not report.events:
        return "monitoring dead-letters" if report.rejected else ""
    query = f"service:{_quoted(next(iter(report.services)))}" if len(report.services) == 1 else "*"
    return f"monitoring logs {shlex.quote(query)} --since {_since(report.oldest_ns, now_ns)}"


def _quoted(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").replace(".", "").isalnum() else orjson.dumps(name).decode()


def _since(oldest_ns: int, now_ns: int) -> str:
    """A start that takes in the oldest event: relative while that is easy to read."""
    hours = max(1, math.ceil((now_ns - oldest_ns) / _HOUR_NS))
    if hours <= 48:
        return f"{hours}h"
    return f"{math.ceil(hours / 24)}d" if hours <= 24 * 60 else rfc3339(oldest_ns)[:10] + "T00:00:00Z"
