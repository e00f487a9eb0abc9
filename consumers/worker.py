"""The hardened RQ worker.

    announce -> fetch a job of a free queue -> fork a work-horse -> tend the horses -> announce …

One job of each queue runs at a time, each in a process of its own: a long one of one queue (compaction, a purge, a
drain's slice) holds up no notification of another.

It keeps of RQ what serves here: queues, job format, registration, the forked work-horse. It leaves out what
harms: pickle and names from the bus (see envelope.py), the command channel through which anybody may kill
jobs, the scheduler, registries in which killed workers leave their jobs for ever, and the bookkeeping that
fails when the bus is full, which is just when draining matters most.

A work-horse never outlives its worker. SIGTERM and SIGINT raise its stop flag (stop.py), so that it ends at
its next commit; a second signal kills it. One that has not looked at its flag for a long time is killed.
"""

from __future__ import annotations

import importlib
import logging
import os
import secrets
import select
import signal
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from types import FrameType
from typing import Any, NamedTuple

import redis
from rq import Queue
from rq.serializers import JSONSerializer
from rq.utils import now
from rq.worker import Worker as RQWorker

from monitoring.consumers import stop
from monitoring.consumers.envelope import AllowedJob, Forged, claim
from monitoring.pipeline import jobs
from monitoring.pipeline.bus.embedded import locate_queue
from monitoring.pipeline.bus.streams import OWNER_KEY, connect, exchange
from monitoring.pipeline.errors import BusFull, BusRefused, BusUnavailable
from monitoring.pipeline.process import die_with_parent, prepare
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog

__all__ = ["ANNOUNCE_SECONDS", "HUNG_SECONDS", "Worker", "make_worker", "preload"]

_log = logging.getLogger("monitoring.worker")

ANNOUNCE_SECONDS = 10.0
"""How often a worker says that it lives, and how long it waits for a job at a time: 1 ms of CPU each."""
_TTL_SECONDS = 60
"""A worker that did not say so for a minute is forgotten."""
HUNG_SECONDS = 15.0
"""A work-horse looks at its stop flag every second or two. One that is silent for so long is ended: its work is done
again by the next, exactly once, while a partition in the hands of a stopped process is not drained at all."""
_LOOK_SECONDS = 0.25
"""While something runs, queues are looked at for so long: who has ended makes room for the next of its queue."""
_LONGEST_PAUSE_SECONDS = 5.0
_SAME_REQUEST_SECONDS = 0.5
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Stop(BaseException):
    """Raised by the signal handler out of a blocking call; nothing between there and the loop catches it."""


class _Horse(NamedTuple):
    """A job under way. `gone` becomes readable when it ends; `started` is monotonic time."""

    name: str
    pid: int
    gone: int
    pulse: stop.Pulse
    started: float


class Worker(RQWorker):  # type: ignore[misc]  # mypy skips RQ, whose annotations are not strict
    """Runs the jobs of its queues, one of each queue at a time, each in a process of its own.

    Make it and call `work` in the main thread of the process that is the worker.
    """

    job_class = AllowedJob

    def __init__(
        self,
        queues: Sequence[str],
        client: redis.Redis,
        chosen: Settings,
        *,
        allowed: Mapping[str, str],
        name: str,
        hung_seconds: float,
        instance: str = "",
    ) -> None:
        """`queues` are RQ's names, the first served first; `client` must wait longer than ANNOUNCE_SECONDS. `instance`
        is that of the data directory: jobs of any other are left alone.

        A work-horse that has not looked at its stop flag for `hung_seconds` is killed.
        """
        found = [Queue(queue, connection=client, serializer=JSONSerializer) for queue in queues]
        super().__init__(
            found,
            name=name,
            connection=client,
            serializer=JSONSerializer,
            worker_ttl=_TTL_SECONDS,
            prepare_for_work=False,  # it would ask the server, which may be away
        )
        self.hostname, self.pid = socket.gethostname(), os.getpid()
        self._allowed = allowed
        self._settings = chosen
        self._hung_seconds = hung_seconds
        self._instance = instance.encode()
        self._stop_requested = False
        self._stop_requested_at = 0.0
        self._interruptible = False
        self._trouble: str | None = None
        self._horses: list[_Horse] = []
        self._failures: dict[str, int] = {}
        self._rested: dict[str, float] = {}
        self._pulse: stop.Pulse | None = None

    # ------------------------------------------------------------------ the loop

    def work(self, *args: Any, **kwargs: Any) -> bool:
        """Work until SIGTERM or SIGINT; RQ's options have no effect here. False, as RQ says for "nothing left"."""
        self.birth_date = now()
        prepare()
        for number in _STOP_SIGNALS:
            signal.signal(number, self._on_signal)
        pause = 0.1
        try:
            while True:
                try:
                    self._turn()
                    pause = 0.1
                except (BusUnavailable, BusRefused) as error:
                    self._say_trouble(str(error))
                    self._sleep(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        except _Stop:
            pass
        finally:
            self._finish()
            self._depart()
        return False

    def _turn(self) -> None:
        """Fetch a job of a queue that is free and start it; where none is, wait for an end.

        Where the bus is too full to say or enqueue anything, drain all the same.
        """
        self._tend()
        free = self._free()
        if not free:
            self._wait_for_an_end()
            return
        try:
            self.check_instance()
            self._announce("busy" if self._horses else "idle")
            name = self._fetch(free)
        except BusFull as error:
            if jobs.DRAIN not in free:
                raise BusUnavailable(str(error)) from error
            self._say_trouble(f"{error}: draining without a job")
            name = jobs.DRAIN
        else:
            self._recovered()
        if name is not None:
            self._start(name)

    def _free(self) -> list[str]:
        """The functions whose queues are served here and that neither run nor rest after a failure."""
        if self._stop_requested and self._horses:
            return []
        names, now_seconds = set(self.queue_names()), time.monotonic()
        return [
            name for name, queue in self._allowed.items()
            if queue in names and queue not in self._busy() and self._rested.get(queue, 0.0) <= now_seconds
        ]  # fmt: skip

    def _busy(self) -> set[str]:
        return {self._allowed[horse.name] for horse in self._horses}

    def _announce(self, state: str) -> None:
        """Say that this worker lives and which queues it serves, also to a server that has forgotten it."""
        self.last_heartbeat = now()
        self._state = state
        pipe = self.connection.pipeline(transaction=False)
        pipe.hset(self.key, mapping={**self.serialize(), "state": state})
        pipe.expire(self.key, _TTL_SECONDS)
        pipe.sadd(self.redis_workers_keys, self.key)
        for queue in self.queue_names():
            pipe.sadd(f"rq:workers:{queue}", self.key)
        exchange(pipe.execute)

    def check_instance(self) -> None:
        """Raises BusRefused while the jobs are those of another data directory than this worker's."""
        owner = exchange(lambda: self.connection.get(OWNER_KEY))
        if self._instance and owner not in (None, self._instance):
            raise BusRefused(
                "the jobs here are those of an instance with another data directory: its workers run on the host that "
                "has it (MONITORING_DATA_DIR names it), for marks and leases lie there; from other hosts, send to it"
            )

    def _fetch(self, free: Sequence[str]) -> str | None:
        """The next job's function; None where none came in time, or what came was refused."""
        queues = {self._allowed[name] for name in free}
        keys = [queue.key for queue in self.queues if queue.name in queues]
        patience = _LOOK_SECONDS if self._horses or len(queues) < len(self.queues) else ANNOUNCE_SECONDS
        with self._blocking():
            popped = exchange(lambda: self.connection.blpop(keys, patience))
        if popped is None:
            return None
        key, job_id = popped
        queue = key.decode().removeprefix("rq:queue:")
        try:
            return claim(self.connection, job_id, queue, self._allowed)
        except Forged as error:
            _log.warning("refused and removed a job of queue %s, id %.100r: %s", queue, job_id, error)
            return None

    # ------------------------------------------------------------------ the work-horses

    def _start(self, name: str) -> None:
        """Run a function of ours in a work-horse."""
        with suppress(BusUnavailable, BusFull):  # only for people who look
            self._announce("busy")
        job = AllowedJob.of(name, self.connection, self._allowed, self._settings)
        started = time.monotonic()
        self._pulse = stop.Pulse()
        self._pulse.beat(started)
        gone, held = os.pipe()
        with _signals_blocked():
            try:
                self.fork_work_horse(job, self.queues[0])
            finally:
                os.close(held)  # the work-horse holds its copy until it ends, however it ends
            self._horses.append(_Horse(name, int(self.horse_pid), gone, self._pulse, started))
            self._horse_pid = 0

    def main_work_horse(self, job: AllowedJob, queue: Queue) -> None:
        """What the forked child does: the function, nothing else. Never returns."""
        status = 1
        try:
            die_with_parent(int(self.pid or 0))
            stop.reset()
            stop.attach(self._pulse)
            stop.handle_signals()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
            self._is_horse = True
            job.perform()
            status = 0
        except Exception:
            _log.exception("%s failed", job.func_name)
        finally:
            logging.shutdown()
            os._exit(status)

    def _wait_for_an_end(self) -> None:
        """Wait until a work-horse ends or hangs, or a queue that rests is free again."""
        if not self._horses:
            self._sleep(max(0.0, min(self._rested.values()) - time.monotonic()))
            return
        patience = min(ANNOUNCE_SECONDS, self._hung_seconds / 4)
        if not select.select([horse.gone for horse in self._horses], [], [], patience)[0]:
            with suppress(BusUnavailable, BusFull, BusRefused):  # the horse says what is wrong with the bus
                self._announce("busy")

    def _tend(self) -> None:
        """Take leave of work-horses that have ended, and end those that hang."""
        for horse in list(self._horses):
            if select.select([horse.gone], [], [], 0)[0]:
                status = int(os.waitpid(horse.pid, 0)[1])
                self._horses.remove(horse)
                os.close(horse.gone)
                horse.pulse.close()
                self._judge(horse, status)
                continue
            silent = time.monotonic() - horse.pulse.last()
            if silent > self._hung_seconds:
                _log.error("%s (pid %d) has hung for %.0f s: killing it", horse.name, horse.pid, silent)
                with suppress(ProcessLookupError):
                    os.killpg(horse.pid, signal.SIGKILL)

    def _judge(self, horse: _Horse, status: int) -> None:
        """After a failure, its queue rests a little longer each time, so that a job that always fails costs little."""
        queue = self._allowed[horse.name]
        _log.debug("%s took %.1f s", horse.name, time.monotonic() - horse.started)
        if status == 0:
            self._failures.pop(queue, None)
            self._rested.pop(queue, None)
            return
        failures = self._failures[queue] = self._failures.get(queue, 0) + 1
        if os.WIFSIGNALED(status):
            _log.error("%s was ended by %s", horse.name, signal.Signals(os.WTERMSIG(status)).name)
        self._rested[queue] = time.monotonic() + min(0.25 * 2**failures, _LONGEST_PAUSE_SECONDS)

    def _finish(self) -> None:
        """Wait for work-horses that were told to stop."""
        self.connection.close()  # a broken-off wait may have left an answer in the connection
        while self._horses:
            self._wait_for_an_end()
            self._tend()

    # ------------------------------------------------------------------ signals and troubles

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """First: end after the commit in hand. Again, and not just twice for one Ctrl-C: at once."""
        again = self._stop_requested and time.monotonic() - self._stop_requested_at > _SAME_REQUEST_SECONDS
        if not self._stop_requested:
            self._stop_requested, self._stop_requested_at = True, time.monotonic()
        for horse in self._horses:
            with suppress(ProcessLookupError):
                os.kill(horse.pid, signal.SIGKILL if again else signal.SIGTERM)
        if self._interruptible:
            raise _Stop

    @contextmanager
    def _blocking(self) -> Iterator[None]:
        """A stretch that a signal may break off."""
        self._interruptible = True
        try:
            if self._stop_requested:
                raise _Stop
            yield
        finally:
            self._interruptible = False

    def _sleep(self, seconds: float) -> None:
        with self._blocking():
            time.sleep(seconds)

    def _say_trouble(self, text: str) -> None:
        if self._trouble is None:
            _log.warning("%s; trying again until it works", text)
        self._trouble = text

    def _recovered(self) -> None:
        if self._trouble is not None:
            _log.warning("the bus is back")
        self._trouble = None

    def _depart(self) -> None:
        """Take leave of the bus, if it is there."""

        def leave() -> None:
            pipe = self.connection.pipeline(transaction=False)
            pipe.delete(self.key)
            pipe.srem(self.redis_workers_keys, self.key)
            for queue in self.queue_names():
                pipe.srem(f"rq:workers:{queue}", self.key)
            pipe.execute()

        with suppress(BusUnavailable, BusRefused, BusFull):
            exchange(leave)
        self.connection.close()


def preload(queues: Sequence[str], allowed: Mapping[str, str] = jobs.ALLOWED) -> None:
    """Import the functions of these queues (RQ's names) before anything forks, so that the memory is shared."""
    for name, queue in allowed.items():
        if queue in queues:
            importlib.import_module(name.rpartition(".")[0])


def make_worker(
    queues: Sequence[str],
    bus_url: str,
    chosen: Settings,
    *,
    allowed: Mapping[str, str] = jobs.ALLOWED,
    hung_seconds: float = HUNG_SECONDS,
) -> Worker:
    """A worker for these queues of `jobs.QUEUES`. Does not talk to a server yet.

    Raises SettingsError where the bus is a cluster and MONITORING_QUEUE_URL does not name what carries the jobs.
    """
    # Drains always have something to do: what is short and waited for goes first.
    ordered = sorted(queues, key=lambda queue: queue == "drain")
    client = connect(locate_queue(chosen, bus_url), timeout_seconds=ANNOUNCE_SECONDS + 5)
    name = f"{'-'.join(ordered)}.{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"
    names = [jobs.queue_name(queue) for queue in ordered]
    settings = chosen.replace(bus_url=bus_url)
    return Worker(
        names, client, settings, allowed=allowed, name=name, hung_seconds=hung_seconds, instance=_instance(chosen)
    )


def _instance(chosen: Settings) -> str:
    """The instance of the data directory; "" where there is none yet."""
    if not (chosen.data / CATALOG_FILE).exists():
        return ""
    with closing(Catalog(chosen.data / CATALOG_FILE)) as catalog:
        return catalog.instance


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Between fork and the child's own handlers, a signal must reach neither the wrong one nor nobody."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
