"""Running it: `monitoring up` for everything, `api`, `worker` and `ticker` for one part each.

monitoring up
  |-- valkey-server       the bus, where none is named
  |-- api                 gunicorn and its one process of threads
  |-- drain-1 …           workers of the drain queue, each with a work-horse
  |-- jobs                a worker of the other queues, a work-horse for each: none holds up another
  `-- ticker              starts what should run; adopts what dead producers left in the spool; in threads of its
                          own, measures this host, unless MONITORING_COLLECTORS leaves that out

stop: api, then workers and ticker at a commit, then the bus; within five seconds, else by force
"""

from __future__ import annotations

import importlib
import logging
import shlex
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import click

from monitoring.cli.address import address, answers, listen
from monitoring.cli.instance import make_data, own
from monitoring.cli.log import configure
from monitoring.cli.login import login_link
from monitoring.cli.supervisor import Backoff, Child, Supervisor
from monitoring.pipeline import failpoint, jobs
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.bus.embedded import URL_FILE, EmbeddedBus, locate, locate_queue
from monitoring.pipeline.bus.streams import Streams, connect
from monitoring.pipeline.errors import BusUnavailable, MonitoringError
from monitoring.pipeline.events.signals import SIGNALS
from monitoring.pipeline.settings import Settings

if TYPE_CHECKING:
    from monitoring.cli.collect import HostMetrics

__all__ = ["api", "ticker", "up", "worker"]

STOP_SECONDS = 4.0
"""For API, workers and ticker; the bus ends in 0.2 s after them, so that all is over within five."""
BUS_STOP_SECONDS = 0.8
_READY_SECONDS = 15.0
_BUS_WAIT_SECONDS = 30.0
"""How long to wait for a named bus that does not answer yet: containers start in any order."""
_PRELOAD = (
    "apsw",
    "gunicorn.arbiter",
    "gunicorn.http",
    "gunicorn.http.wsgi",
    "hiredis",
    "monitoring.cli.collect",
    "monitoring.cli.serve",
    "monitoring.consumers.adoption",
    "monitoring.consumers.ticker",
    "monitoring.consumers.worker",
    "redis",
    "werkzeug.debug",
)


# ---------------------------------------------------------------------- everything


@click.command()
def up() -> None:
    """Run everything on this machine until Ctrl-C: bus, workers, ticker, collector and API.

    \b
    MONITORING_DATA_DIR   where the data are (one instance a directory)
    MONITORING_PORT       the API's port (8321)
    REDIS_URL             your own Redis >= 6.2 or Valkey, or a cluster, instead of the embedded one
    """
    chosen = settings_table.load()
    _check(chosen)
    if chosen.text("bus_url"):
        locate_queue(chosen)
    configure(chosen, "supervisor")
    failpoint.arm(chosen.path("failpoint_dir"))
    with own(chosen) as note, listen(chosen) as listener:
        _Product(chosen, listener, note).run()


class _Product:
    """The whole product as children of this process."""

    def __init__(self, chosen: Settings, listener: socket.socket, note: Callable[[str], None]) -> None:
        self._settings = chosen
        self._listener = listener
        self._note = note
        self._embedded: EmbeddedBus | None = None
        self._bus_backoff = Backoff()
        self._bus_started = 0.0
        self._bus_due: float | None = None

    def run(self) -> None:
        """Start, watch, stop."""
        self._address = address(self._listener)
        self._note(self._address)
        if not self._settings.text("public_url"):
            self._settings = self._settings.replace(public_url=self._address)  # MONITORING_PORT may have said: any
        if not self._settings.text("bus_url"):
            self._embedded = EmbeddedBus(self._settings.data, memory_bytes=self._settings.whole("bus_memory"), say=_say)
        self._supervisor = Supervisor(self._children(), say=_say)
        self._supervisor.install()
        forced: list[str] = []
        try:
            for step in (self._start_bus, self._load, self._prepare, self._keep_running):
                if not self._supervisor.stopping:
                    step()
            _tell("monitoring: stopping")
        finally:
            forced = self._stop()
        if forced:
            _say(f"did not end in time and were killed, which loses nothing: {', '.join(forced)}")

    # ------------------------------------------------------------------ start

    def _children(self) -> list[Child]:
        def drain() -> None:
            _work(self._settings, self._url(), ["drain"])

        def other() -> None:
            _work(self._settings, self._url(), [queue for queue in jobs.QUEUES if queue != "drain"])

        def serve_api() -> None:
            from monitoring.cli.serve import serve

            configure(self._settings, "api")
            serve(self._settings.replace(bus_url=self._url()), self._listener)

        def tick() -> None:
            url = self._url()
            _tick(self._settings.replace(bus_url=url), url, measuring=True)

        return [
            Child("api", serve_api, order=0),
            *(Child(f"drain-{number + 1}", drain, order=1) for number in range(self._settings.whole("workers"))),
            Child("jobs", other, order=1),
            Child("ticker", tick, order=1),
        ]

    def _url(self) -> str:
        return self._embedded.url if self._embedded else self._settings.text("bus_url")

    def _start_bus(self) -> None:
        if self._embedded is not None:
            self._embedded.start(abandoned=lambda: self._supervisor.stopping)
            self._bus_started = time.monotonic()
        else:
            with suppress(FileNotFoundError):  # of an earlier run with an embedded server: it would mislead services
                (self._settings.data / URL_FILE).unlink()

    def _load(self) -> None:
        _preload(jobs.QUEUES)

    def _keep_running(self) -> None:
        self._supervisor.run(self._watch, ready=self._announce)

    def _prepare(self) -> None:
        """Everything that must be there before the children: catalog, key, and a bus that keeps what it is given."""
        from monitoring.consumers.ticker import claim_bus
        from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
        from monitoring.pipeline.store.host import HostMark

        make_data(self._settings)
        HostMark(self._settings.data).move_in()
        catalog = Catalog(self._settings.data / CATALOG_FILE)
        clients = [connect(url) for url in {self._url(): None, locate_queue(self._settings, self._url()): None}]
        try:
            instance = catalog.instance
            partitions = {signal: len(catalog.partitions(signal)) for signal in SIGNALS}
            for client in clients:
                self._patiently(partial(claim_bus, client, instance))
            Streams(clients[0]).announce(partitions, instance)
        finally:
            for client in clients:
                client.close()
            catalog.close()

    def _patiently(self, action: Callable[[], None]) -> None:
        """Do it as soon as the bus answers."""
        deadline, told = time.monotonic() + _BUS_WAIT_SECONDS, False
        while not self._supervisor.stopping:
            try:
                action()
                return
            except BusUnavailable as error:
                if time.monotonic() > deadline:
                    raise
                if not told:
                    _say(f"{error}; waiting for it")
                    told = True
                time.sleep(0.2)

    def _announce(self) -> None:
        """Wait until the API answers, then say where everything is."""
        deadline = time.monotonic() + _READY_SECONDS
        while not self._supervisor.stopping:
            if answers(self._listener, "/readyz", timeout_seconds=2.0) == 200:
                link = login_link(self._settings, self._address)
                _tell(_welcome(self._settings, self._address, link, embedded=self._embedded is not None))
                return
            if time.monotonic() > deadline:
                _say(f"the API on {self._address} is not ready yet; {self._address}/readyz tells why")
                return
            time.sleep(0.02)

    # ------------------------------------------------------------------ watch and stop

    def _watch(self) -> float:
        """Keep the bus running; when to look again."""
        now = time.monotonic()
        if self._embedded is None:
            return now + 3600.0
        self._embedded.rotate_log()
        status = self._embedded.exit_status()
        if status is None:
            return now + 60.0
        if self._bus_due is None:
            pause = self._bus_backoff.next(now - self._bus_started)
            self._bus_due = now + pause
            how = f"was ended by signal {-status}" if status < 0 else f"ended with exit status {status}"
            _say(f"the bus (pid {self._embedded.pid}) {how}; starting it again in {pause:g} s")
        if now >= self._bus_due:
            self._bus_due, self._bus_started = None, now
            try:
                self._embedded.start(abandoned=lambda: self._supervisor.stopping)
            except MonitoringError as error:
                _say(str(error))
        return self._bus_due if self._bus_due is not None else time.monotonic() + 1.0

    def _stop(self) -> list[str]:
        """End everything, the bus last. The names of those that had to be killed."""
        self._listener.close()
        forced = self._supervisor.stop(time.monotonic() + STOP_SECONDS)
        if self._embedded is not None and not self._embedded.stop(timeout_seconds=BUS_STOP_SECONDS):
            forced.append("bus")
        self._supervisor.close()
        return forced


def _welcome(chosen: Settings, address: str, link: str, *, embedded: bool) -> str:
    """What is printed when everything runs."""
    data = shlex.quote(str(chosen.data))
    url_file = shlex.quote(str(chosen.data / URL_FILE))
    bus = f'export MONITORING_BUS_URL="$(cat {url_file})"' if embedded else f"{chosen.source('bus_url')} as it is here"
    here = "" if chosen.source("data_dir") == "default" else f"export MONITORING_DATA_DIR={data}; "
    return "\n".join(
        (
            f"monitoring is up: {address}/",
            f"  log in          {link}",
            f"  data            {chosen.data}",
            f"  for services    {bus}",
            f"  a first line    {here}echo 'hello world' | monitoring ingest - && monitoring logs hello",
            "  to stop         Ctrl-C",
        )
    )


# ---------------------------------------------------------------------- one part each


@click.command()
def api() -> None:
    """Run the HTTP API alone, on MONITORING_HOST and MONITORING_PORT; bus and data directory as for `up`."""
    from monitoring.cli.serve import serve

    chosen = _part("api")
    _check(chosen)
    if chosen.text("bus_url"):
        locate_queue(chosen)
    with listen(chosen) as listener:
        click.echo(f"monitoring api: {address(listener)}/")
        serve(chosen, listener)


@click.command()
@click.option("--queue", "queues", multiple=True, type=click.Choice(jobs.QUEUES), help="Serve this queue; repeatable.")
@click.option("--processes", type=click.IntRange(1, 1024), default=1, show_default=True, help="How many workers.")
def worker(queues: tuple[str, ...], processes: int) -> None:
    """Run workers alone, on all queues or those you name, on the host of the data directory.

    \b
    Four drains share the partitions of the logs among them:
        monitoring worker --queue drain --processes 4
    """
    from monitoring.consumers.worker import make_worker

    chosen = _part("worker")
    served = queues or jobs.QUEUES
    url = locate(chosen)
    with suppress(BusUnavailable):  # it may come later, and workers look again
        make_worker(served, url, chosen).check_instance()
    click.echo(f"monitoring worker: {processes} on {', '.join(served)}; Ctrl-C to stop")
    _preload(served)
    if processes == 1:
        _work(chosen, url, served)
        return
    children = [
        Child(f"worker-{number + 1}", lambda: _work(chosen, url, served), patience_seconds=STOP_SECONDS)
        for number in range(processes)
    ]
    supervisor = Supervisor(children, say=_say)
    supervisor.install()
    try:
        supervisor.run()
    finally:
        forced = supervisor.stop(time.monotonic() + STOP_SECONDS)
        supervisor.close()
    if forced:
        _say(f"did not end in time and were killed, which loses nothing: {', '.join(forced)}")


@click.command()
def ticker() -> None:
    """Run the ticker alone. Several do no harm: those of one data directory take turns."""
    chosen = _part("ticker")
    url = locate(chosen)
    locate_queue(chosen, url)  # what cannot be is said now, not once this one has the turn
    _tick(chosen, url)


def _check(chosen: Settings) -> None:
    """Raises SettingsError for what the API cannot use; imports Flask, which the other parts do without."""
    from monitoring.api.checks import check

    check(chosen)


def _part(name: str) -> Settings:
    """What each part needs when it runs alone. Raises OtherHost where the data directory is another host's."""
    from monitoring.pipeline.store.host import HostMark

    chosen = settings_table.load()
    configure(chosen, name)
    failpoint.arm(chosen.path("failpoint_dir"))
    make_data(chosen)
    HostMark(chosen.data).move_in()
    return chosen


def _work(chosen: Settings, url: str, queues: Sequence[str]) -> None:
    from monitoring.consumers.worker import make_worker

    configure(chosen, "-".join(queues))
    make_worker(queues, url, chosen).work()


def _tick(chosen: Settings, url: str, *, measuring: bool = False) -> None:
    """Tick until a stop is requested; `measuring`: the host too, in threads of this process."""
    from monitoring.consumers import stop
    from monitoring.consumers import ticker as ticking
    from monitoring.consumers.adoption import Adoption

    configure(chosen, "ticker")
    stop.reset()
    stop.handle_signals()
    failures: list[str] = []

    def failed() -> None:
        failures.append("adoption")
        stop.request()

    adoption = Adoption(chosen, url, failed=failed)
    host = _host_metrics(chosen) if measuring else None
    adoption.start()
    if host is not None:
        host.begin()
    try:
        ticking.run(chosen, url)
    finally:
        stop.request()
        adoption.join(STOP_SECONDS / 2)
        if host is not None:
            host.end()
    if failures:
        raise SystemExit(1)  # whoever watches this process starts it again


def _host_metrics(chosen: Settings) -> HostMetrics | None:
    """What measures this host; None where MONITORING_COLLECTORS leaves that out."""
    from monitoring.cli.collect import HostMetrics

    if not {"system", "gpu"} & set(chosen.names("collectors")):
        return None
    host = HostMetrics(chosen)
    for name, pid in host.collectors.elsewhere().items():  # perhaps for another instance
        logging.getLogger("monitoring.collector").info(
            "%s: pid %d measures it, for the instance that it sends to; this process will after it", name, pid
        )
    return host


def _preload(queues: Sequence[str]) -> None:
    """Import everything now: what is forked later shares the memory, and starts at once."""
    from monitoring.consumers.worker import preload

    for name in _PRELOAD:
        importlib.import_module(name)
    preload([jobs.queue_name(queue) for queue in queues])


# ---------------------------------------------------------------------- what is said


def _tell(text: str) -> None:
    """Say something on standard output; nobody may listen any more, which is no reason to fall."""
    with suppress(OSError):
        click.echo(text)


def _say(line: str) -> None:
    """Say one line on standard error, or to nobody."""
    with suppress(OSError):
        click.echo(f"monitoring: {line}", err=True)
