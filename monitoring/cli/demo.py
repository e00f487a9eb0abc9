"""`monitoring demo`: a platform that is not there, played into a running instance."""

from __future__ import annotations

import re
import time

import click

from monitoring.cli.oncall import OnCall
from monitoring.consumers import stop
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.errors import MonitoringError
from monitoring.producers.demo.play import STEP_SECONDS, Piece, Play

__all__ = ["demo"]

_LINE_SECONDS = 10.0
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_MAX_HISTORY_SECONDS = 7 * 86_400.0
"""Metrics are kept in full for so long by default."""
_LOOK = """\
Look at it:
  /logs?query=level:error            what fails, with stacks      monitoring logs 'level:error' --since 1h
  /logs?query=release:1.4.2          the deploy that broke it     monitoring metrics error_rate --since 1h
  /runs                              losses, scores, cost         monitoring metrics fine_tuning_loss --since 1h
  /alerts   High API error rate, Slow responses, Low disk space   monitoring report --since 1h
"""


def _duration(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """`6h`, `90m`, `0` as seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", value)
    if match is None:
        raise click.BadParameter("expected a time like 90m or 6h")
    seconds = float(match[1]) * _UNITS[match[2]]
    if seconds > _MAX_HISTORY_SECONDS:
        raise click.BadParameter("at most 7d")
    return seconds


@click.command()
@click.option("--minutes", type=click.FloatRange(0), metavar="N", help="End after so many minutes.  [default: 60]")
@click.option("--forever", is_flag=True, help="Go on until Ctrl-C.")
@click.option(
    "--history",
    callback=_duration,
    default="1h",
    show_default=True,
    metavar="TIME",
    help="Play so much of the past first: 6h, 0.",
)
@click.option(
    "--speed",
    type=click.FloatRange(0.1, 60),
    default=1.0,
    show_default=True,
    help="How fast the story goes; its hour takes 1/SPEED hours.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0.1, 200),
    default=15.0,
    show_default=True,
    help="Requests of users a second; each makes about four events.",
)
@click.option(
    "--at",
    type=click.FloatRange(0, 60, max_open=True),
    default=0.0,
    show_default=True,
    metavar="MINUTE",
    help="The minute of the story's hour at which the past ends: at 9 the deploy has broken it.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed plays the same piece.")
def demo(minutes: float | None, forever: bool, history: float, speed: float, rate: float, at: float, seed: int) -> None:
    """Play an LLM platform into a running instance: traffic, a bad deploy, fine-tuning, evaluations, a full disk.

    It goes to the instance whose data directory MONITORING_DATA_DIR names, or to MONITORING_URL with
    MONITORING_API_KEY, as from any service. All of it has environment:demo. Alerts about it are acknowledged after a
    while, as by somebody on call.

    \b
    Six hours of the past in a minute, then live until Ctrl-C:
        monitoring demo --history 6h --forever
    """
    if forever and minutes is not None:
        raise click.UsageError("--minutes and --forever contradict each other")
    if at * 60 > history * speed:
        raise click.UsageError(f"--at {at:g} needs a --history of {at / speed:g}m at least")
    lasts = float("inf") if forever else (60.0 if minutes is None else minutes) * 60
    chosen = settings_table.load()
    play = Play(chosen, Piece(history, speed, rate, seed, at * 60))
    stop.reset()
    stop.handle_signals()
    click.echo(_LOOK)
    safe = False
    try:
        _past(play, history)
        _present(play, lasts, OnCall(chosen, lambda text: click.echo(text, err=True)))
    finally:
        safe = play.close()
        logs, metrics = play.counters()
        click.echo(f"sent {logs.emitted:,} log events and {metrics.emitted:,} deltas of metrics")
    if not safe or logs.dropped:
        raise MonitoringError("not all of it is on the bus: see `monitoring status`")


def _past(play: Play, seconds: float) -> None:
    if not seconds:
        return
    began = time.monotonic()
    told = began

    def progress(part: float) -> None:
        nonlocal told
        if time.monotonic() - told >= 2.0 or part >= 1.0:
            told = time.monotonic()
            events = play.counters()[0].emitted
            click.echo(f"past: {part:4.0%} of {seconds / 3600:g} h, {events:,} events, {told - began:.0f} s")

    play.past(stop.requested, progress)


def _present(play: Play, seconds: float, on_call: OnCall) -> None:
    ends = time.monotonic() + seconds
    told_at, told = time.monotonic(), play.counters()[0].emitted
    while not stop.requested() and time.monotonic() < ends:
        play.present()
        on_call.look()
        stop.wait(min(STEP_SECONDS, max(0.0, ends - time.monotonic())))
        if (passed := time.monotonic() - told_at) >= _LINE_SECONDS:
            events = play.counters()[0].emitted
            click.echo(f"live: {(events - told) / passed:.0f} events/s, {events:,} in all; Ctrl-C to stop")
            told_at, told = time.monotonic(), events
