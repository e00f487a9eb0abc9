"""The SDK of one process, put together from the settings: what `start_monitoring_with_config` starts.

settings -> redactor -> publishers -> client -> loggers, the standard library's logging, the console
                                   -> rounds: metrics on their way, collectors
"""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from monitoring.pipeline import settings
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.errors import SettingsError
from monitoring.pipeline.events import levels
from monitoring.pipeline.events.defaults import file_stem, host_name
from monitoring.pipeline.publish.barrier import Ack
from monitoring.pipeline.publish.connect import publisher_from
from monitoring.pipeline.publish.publisher import EXIT_SECONDS
from monitoring.pipeline.redact import redactor_from
from monitoring.pipeline.settings import Settings, Value
from monitoring.producers import client as clients
from monitoring.producers import fork, handler, instrumentation
from monitoring.producers.client import Client, Resource
from monitoring.producers.collectors import collectors_from
from monitoring.producers.console import Console
from monitoring.producers.logger import STANDARD_LEVELS, filter_below
from monitoring.producers.metrics import REGISTRY
from monitoring.producers.own import OwnMetrics
from monitoring.producers.registry import Registry
from monitoring.producers.rounds import Rounds
from monitoring.producers.shipping import Reporter
from monitoring.producers.trouble import Trouble

__all__ = ["Sdk", "running", "start", "stop"]

LAST_SECONDS = EXIT_SECONDS
"""What a process that ends by `os._exit` may be held up for where the bus neither takes the rest nor refuses. On a
host with more to do than cores, one second was too short for twenty children that ended at once."""


class Sdk:
    """Everything of ours that runs in an observed process. One at a time; it crosses forks."""

    def __init__(self, chosen: Settings, *, trouble: Trouble, console: bool) -> None:
        """Nothing is started yet. Raises SettingsError for settings that do not go together."""
        self.settings = chosen
        self.trouble = trouble
        self.redactor = redactor_from(chosen)
        self.resource = Resource(
            chosen.text("service") or program_name(),
            chosen.text("environment"),
            chosen.text("release"),
            host_name(),
        )
        self.rounds = Rounds(trouble)
        self.logs = publisher_from(
            chosen, refine=self.redactor.events, on_trouble=trouble.say, on_start=self.rounds.begin
        )
        self.console = Console(chosen.text("log_format"), self.resource, redact=self.redactor.text) if console else None
        self.client = Client(
            self.logs,
            self.resource,
            trouble=trouble,
            echo=self.console.echo if self.console else None,
            redact=self.redactor.text,
        )
        self.metrics = publisher_from(chosen, signal="metrics", on_trouble=trouble.say)
        self._add_rounds()

    def _add_rounds(self) -> None:
        """What comes round: collectors, and the metrics' way to the publisher. Those of the host are no service's."""
        chosen, who, host = self.settings, self.resource, Registry()
        self.collectors = collectors_from(chosen, REGISTRY, self.trouble, host_registry=host)
        self.own = OwnMetrics(
            REGISTRY, self.logs, redactions=lambda: self.redactor.found, troubles=lambda: self.trouble.counts
        )
        self._reporters = (
            Reporter(
                REGISTRY,
                self.metrics,
                service=who.service,
                environment=who.environment,
                release=who.release,
                host=who.host,
            ),
            Reporter(host, self.metrics, service="", host=who.host),
        )
        self.rounds.add("the collectors", chosen.number("collect_interval"), self.collectors.collect)
        self.rounds.add("the metrics", chosen.number("metrics_interval"), self._ship, aligned=True)

    def _ship(self) -> None:
        self.own.update()
        for reporter in self._reporters:
            reporter.ship(wall_ns())

    def start(self) -> None:
        """Publish from now on."""
        severity = levels.parse(self.settings.text("log_level")) or levels.DEFAULT_LEVEL
        filter_below(severity)
        REGISTRY.redact_with(self.redactor.text)
        clients.install(self.client)
        if self.settings.flag("capture_logging"):
            handler.capture()
            self._open_root(severity)
        if self.console is not None:
            self.console.attach()
        instrumentation.begin(self.settings, self.redactor.text, self.trouble)
        fork.after_fork(_renew_after_fork)
        fork.before_exit(_last_words)
        _hear_of_the_end()
        self.rounds.begin()

    def _open_root(self, severity: int) -> None:
        """The root logger keeps only warnings until told otherwise; the setting, or its default, tells."""
        root = logging.getLogger()
        if root.level == logging.WARNING or self.settings.source("log_level") != "default":
            root.setLevel(STANDARD_LEVELS[severity])

    def stop(self, timeout_seconds: float) -> bool:
        """Send what there is and end; whether everything is on the bus or in the spool."""
        ends = time.monotonic() + timeout_seconds
        fork.forget()
        if clients.active() is self.client:
            clients.install(None)
        handler.release()
        instrumentation.end()
        if self.console is not None:
            self.console.detach()
        filter_below(0)
        self.rounds.end(min(1.0, timeout_seconds))
        self.collectors.close()
        self._ship()
        safe = self.logs.close(max(0.0, ends - time.monotonic()))
        shipped = self.metrics.close(max(0.0, ends - time.monotonic()))
        return safe and (shipped or self.metrics.unwanted)

    def finish(self, timeout_seconds: float) -> None:
        """Send what there is, for the process ends. It goes on publishing: others have things to do at the end, too."""
        ends = time.monotonic() + timeout_seconds
        self.rounds.end(min(1.0, timeout_seconds))
        self._ship()
        self.logs.finish(max(0.0, ends - time.monotonic()))
        self.metrics.learn_from(self.logs)
        self.metrics.finish(max(0.0, ends - time.monotonic()))

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until everything so far is on the bus, or in the spool where there is one.

        Metrics count as far as the instance takes any.
        """
        ends = time.monotonic() + timeout_seconds
        ack: Ack = "spool" if self.settings.text("spool_dir") else "bus"
        self._ship()
        safe = self.logs.flush(timeout_seconds, ack)
        shipped = self.metrics.flush(max(0.0, ends - time.monotonic()), ack)
        return safe and (shipped or self.metrics.unwanted)

    def renew_after_fork(self) -> None:
        """In a forked child; publishers renew themselves."""
        self.trouble.renew_after_fork()
        self.redactor.renew_after_fork()
        self.rounds.renew_after_fork()
        self.collectors.renew_after_fork()
        self.own.renew_after_fork()
        if fork.may_start_threads():
            self.rounds.begin()


def program_name() -> str:
    """The service of a program that names none: the stem of what was started, for `python -m name` its package."""
    started = Path(sys.argv[0] if sys.argv else "")
    if started.stem == "__main__":
        return started.parent.name
    return file_stem(started.name).removesuffix(".py") or "python"


_lock = threading.RLock()
_running: Sdk | None = None


def running() -> Sdk | None:
    """The SDK that is started, or None."""
    return _running


def start(environ: Mapping[str, str], overrides: Mapping[str, Value]) -> Sdk:
    """Start, unless it is started. What is wrong with the settings is told on standard error, and left out.

    Raises SettingsError for an override that is no setting: that is the program's own text.
    """
    global _running
    with _lock:
        if _running is not None:
            return _running
        trouble = Trouble()
        problems: list[SettingsError] = []
        chosen = settings.load(environ, on_problem=problems.append).replace(**overrides)
        sdk = _assembled(chosen, trouble, problems, console=_wants_console(chosen))
        if said := [*map(str, problems), *filter(None, [fork.without_threads()])]:
            trouble.say("; ".join(said))
        sdk.start()
        _running = sdk
        return sdk


def _assembled(chosen: Settings, trouble: Trouble, problems: list[SettingsError], *, console: bool) -> Sdk:
    """The SDK of these settings; without those that do not go together."""
    try:
        return Sdk(chosen, trouble=trouble, console=console)
    except SettingsError as error:
        problems.append(error)
    safe = chosen.replace(durability="memory", redact_patterns="", redact_allow="")
    return Sdk(safe, trouble=trouble, console=console)


def _wants_console(chosen: Settings) -> bool:
    if chosen.text("console") != "auto":
        return chosen.text("console") == "on"
    try:
        return chosen.source("log_format") != "default" or sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


def stop(timeout_seconds: float) -> bool:
    """Stop, if it is started; whether everything is on the bus or in the spool."""
    global _running
    with _lock:
        sdk, _running = _running, None
    return sdk is None or sdk.stop(timeout_seconds)


@cache
def _hear_of_the_end() -> None:
    """Once: what is taken out again leaves its place empty in `atexit`'s list, for ever."""
    atexit.register(_finish)


def _finish() -> None:
    sdk = _running
    if sdk is not None:
        sdk.finish(EXIT_SECONDS)


def _last_words() -> None:
    sdk = _running
    if sdk is not None:
        sdk.finish(LAST_SECONDS)


def _renew_after_fork() -> None:
    global _lock
    _lock = threading.RLock()
    sdk = _running
    if sdk is not None:
        sdk.renew_after_fork()
