"""The hardened worker, as a process of its own on a real server."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import redis
from rq import Callback, Queue, Retry, Webhook
from rq.serializers import JSONSerializer, PickleSerializer

from monitoring.consumers.envelope import AllowedJob, Forged, name_in, resolve
from monitoring.consumers.worker import make_worker
from monitoring.pipeline import jobs
from monitoring.pipeline.bus.streams import OWNER_KEY, connect
from monitoring.pipeline.errors import BusRefused, PermanentError
from monitoring.pipeline.settings import load
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog

if TYPE_CHECKING:
    from tests.conftest import ValkeyServer

QUEUE = "monitoring-drain"

FUNCTIONS = """
import os, pathlib, time
from monitoring.consumers import stop
HERE = pathlib.Path(__file__).parent

def mark(name):
    (HERE / name).write_text(str(os.getpid()))

def note(settings):
    mark("noted")
    with (HERE / "notes").open("a") as file:
        file.write(settings.text("bus_url") + "\\n")

def forbidden(*args, **kwargs):
    mark("forbidden")

def slice(settings):
    mark("slice")
    while not stop.requested():
        time.sleep(0.02)
    mark("committed")

def other(settings):
    mark("other")

def deaf(settings):
    mark("deaf")
    time.sleep(60)

def fail(settings):
    with (HERE / "failures").open("a") as file:
        file.write("x")
    raise RuntimeError("this job always fails")
"""

PROGRAM = """
import logging, sys
from monitoring.consumers.worker import make_worker, preload
from monitoring.pipeline import jobs
from monitoring.pipeline.settings import load
logging.basicConfig(level="INFO", format="%(message)s")
allowed = {f"functions.{name}": "monitoring-drain" for name in ("note", "slice", "deaf", "fail")}
allowed["functions.other"] = "monitoring-notify"
allowed[jobs.DRAIN] = "monitoring-drain"
if "--drain" in sys.argv:
    jobs.DRAIN = "functions.note"
preload(["monitoring-drain"], {"functions.note": "monitoring-drain"})
hung_seconds = 1.0 if "--impatient" in sys.argv else 15.0
queues = ["drain", "notify"] if "--both" in sys.argv else ["drain"]
make_worker(queues, sys.argv[1], load(), allowed=allowed, hung_seconds=hung_seconds).work()
"""


class Process:
    """A running worker."""

    def __init__(self, directory: Path, url: str, *options: str) -> None:
        (directory / "functions.py").write_text(FUNCTIONS)
        self.directory = directory
        self.log_file = directory / "log"
        environ = {**os.environ, "PYTHONPATH": str(directory), "MONITORING_DATA_DIR": str(directory)}
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-c", PROGRAM, url, *options], env=environ, stderr=log)

    def has(self, name: str) -> bool:
        file = self.directory / name
        return file.exists() and file.read_text() != ""

    def pid_of(self, name: str) -> int:
        wait_for(lambda: self.has(name))
        return int((self.directory / name).read_text())

    def log(self) -> str:
        return self.log_file.read_text()


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def start(tmp_path: Path, valkey: str) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(*options: str, url: str = valkey, ready: bool = True) -> Process:
        started.append(Process(tmp_path, url, *options))
        client = connect(url)
        wait_for(lambda: not ready or client.smembers(f"rq:workers:{QUEUE}"))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


@pytest.fixture
def client(valkey: str) -> redis.Redis:
    return connect(valkey)


@pytest.fixture
def queue(client: redis.Redis) -> Queue:
    return Queue(QUEUE, connection=client, serializer=JSONSerializer)


def leftovers(client: redis.Redis) -> list[str]:
    """Keys that RQ keeps besides its lists of workers and queues."""
    keys = [key.decode() for key in client.scan_iter()]
    return [key for key in keys if not key.startswith(("rq:worker", "rq:queues"))]


def test_an_allowed_job_runs_with_the_settings_and_leaves_nothing_behind(
    start: Callable[..., Process], queue: Queue, client: redis.Redis, valkey: str
) -> None:
    worker = start()
    queue.enqueue("functions.note")
    wait_for(lambda: worker.has("notes"))
    assert (worker.directory / "notes").read_text() == valkey + "\n"
    wait_for(lambda: not leftovers(client))


@pytest.mark.parametrize(
    "options",
    [
        {"on_success": Callback("functions.forbidden")},
        {"on_failure": Callback("functions.forbidden")},
        {"on_stopped": Callback("functions.forbidden")},
        {"webhooks": [Webhook("http://127.0.0.1:9/", "finished")]},
        {"retry": Retry(max=3)},
        {"meta": {"a": 1}},
        {"args": ("argument",)},
        {"kwargs": {"name": "value"}},
    ],
    ids=lambda options: next(iter(options)),
)
def test_an_allowed_function_with_anything_more_in_the_job_does_not_run(
    start: Callable[..., Process], queue: Queue, client: redis.Redis, options: dict[str, object]
) -> None:
    queue.enqueue("functions.slice", **options)
    queue.enqueue("functions.note")
    worker = start()
    wait_for(lambda: worker.has("noted"))
    assert not worker.has("slice")
    assert not worker.has("forbidden")
    assert "refused and removed a job" in worker.log()
    wait_for(lambda: not leftovers(client))


def test_a_dependency_or_repeat_written_into_the_hash_is_refused(
    start: Callable[..., Process], queue: Queue, client: redis.Redis
) -> None:
    for field, value in [("dependency_ids", '["a"]'), ("repeats_left", "3"), ("rate_limit_key", "a")]:
        job = queue.enqueue("functions.slice")
        client.hset(job.key, field, value)
    queue.enqueue("functions.note")
    worker = start()
    wait_for(lambda: worker.has("noted"))
    assert not worker.has("slice")
    assert worker.log().count("refused and removed") == 3
    wait_for(lambda: not leftovers(client))


def test_forgeries_of_all_kinds_run_nothing_and_vanish(
    start: Callable[..., Process], queue: Queue, client: redis.Redis
) -> None:
    Queue(QUEUE, connection=client, serializer=PickleSerializer).enqueue("functions.forbidden")
    queue.enqueue("functions.forbidden")
    queue.enqueue("os.system", "touch forbidden")
    queue.enqueue("functions.other")  # allowed, but from another queue
    for number, data in enumerate([b"", b"no json", zlib.compress(b"[" * 10_000), zlib.compress(b"0" * 10**7)]):
        client.hset(f"rq:job:raw{number}", mapping={"data": data, "origin": QUEUE})
        client.rpush(queue.key, f"raw{number}")
    client.set("rq:job:text", "no hash")
    client.hset("rq:job:wide", mapping={f"field{number}": "x" for number in range(1000)})
    client.rpush(queue.key, "text", "wide", "absent", b"\xff/../\n", "x" * 10_000)
    queue.enqueue("functions.note")
    worker = start()
    wait_for(lambda: worker.has("noted"))
    assert not worker.has("forbidden")
    assert "Traceback" not in worker.log()
    assert worker.log().count("refused and removed") == 12
    assert len(worker.log()) < 10_000
    wait_for(lambda: not leftovers(client))


def test_a_job_class_that_reads_from_the_bus_believes_only_the_name(queue: Queue, client: redis.Redis) -> None:
    good = queue.enqueue("functions.note")
    forged = queue.enqueue("functions.note", on_success=Callback("os.getcwd"))

    class OurJob(AllowedJob):
        allowed = {"functions.note": QUEUE}  # noqa: RUF012  as the worker does it

    found = OurJob.fetch(good.id, connection=client, serializer=JSONSerializer)
    assert (found.func_name, found.args, found.kwargs) == ("functions.note", [], {})
    with pytest.raises(Forged, match="success_callback_name"):
        OurJob.fetch(forged.id, connection=client, serializer=JSONSerializer)
    with pytest.raises(Forged, match="may not run"):
        AllowedJob.fetch(good.id, connection=client, serializer=JSONSerializer)


def test_names_that_are_no_jobs_are_never_imported(tmp_path: Path) -> None:
    with pytest.raises(Forged):
        resolve("os.system", jobs.ALLOWED)
    body = zlib.compress(json.dumps([["a", "list"], None, [], {}]).encode())
    with pytest.raises(Forged):
        name_in({b"data": body}, QUEUE, jobs.ALLOWED)


def test_only_known_names_are_enqueued_and_a_queue_stays_short(client: redis.Redis) -> None:
    with pytest.raises(PermanentError, match=r"os\.system"):
        jobs.enqueue(client, "os.system")
    results = [jobs.enqueue(client, jobs.DRAIN) for _ in range(100)]
    assert jobs.queued(client, jobs.DRAIN) == results.count(True) == 64
    assert 0 < client.ttl(next(client.scan_iter(match="rq:job:*"))) <= 3600


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_worker_ends_at_once_with_exit_status_0(
    start: Callable[..., Process], client: redis.Redis, number: signal.Signals
) -> None:
    worker = start()
    worker.process.send_signal(number)
    assert worker.process.wait(10) == 0
    assert client.dbsize() == 0


def test_a_slice_ends_at_its_commit_and_the_worker_with_0(start: Callable[..., Process], queue: Queue) -> None:
    queue.enqueue("functions.slice")
    worker = start()
    wait_for(lambda: worker.has("slice"))
    worker.process.terminate()
    assert worker.process.wait(10) == 0
    assert worker.has("committed")


def test_a_long_job_of_one_queue_holds_up_none_of_another_and_a_stop_waits_for_its_commit(
    start: Callable[..., Process], queue: Queue, client: redis.Redis
) -> None:
    worker = start("--both")
    queue.enqueue("functions.slice")
    wait_for(lambda: worker.has("slice"))
    queue.enqueue("functions.note")
    Queue("monitoring-notify", connection=client, serializer=JSONSerializer).enqueue("functions.other")
    wait_for(lambda: worker.has("other"))
    assert not worker.has("committed") and not worker.has("noted")  # one of each queue at a time
    worker.process.terminate()
    assert worker.process.wait(10) == 0
    assert worker.has("committed") and not worker.has("noted")


def test_a_second_signal_ends_a_deaf_job(start: Callable[..., Process], queue: Queue) -> None:
    queue.enqueue("functions.deaf")
    worker = start()
    horse = worker.pid_of("deaf")
    worker.process.terminate()
    time.sleep(0.7)  # two signals at once count as one
    assert not gone(horse)
    worker.process.terminate()
    assert worker.process.wait(10) == 0
    assert gone(horse)


@pytest.mark.parametrize("job", ["functions.slice", "functions.deaf"])
def test_a_killed_worker_takes_its_work_horse_with_it(start: Callable[..., Process], queue: Queue, job: str) -> None:
    queue.enqueue(job)
    worker = start()
    horse = worker.pid_of(job.removeprefix("functions."))
    worker.process.kill()
    wait_for(lambda: gone(horse))


def test_killed_workers_leave_no_job_behind(start: Callable[..., Process], queue: Queue, client: redis.Redis) -> None:
    for _ in range(3):
        worker = start()
        (worker.directory / "slice").unlink(missing_ok=True)
        queue.enqueue("functions.slice")
        wait_for(lambda worker=worker: worker.has("slice"))  # type: ignore[misc]  # bound here for the loop
        worker.process.kill()
        worker.process.wait()
    assert leftovers(client) == []
    assert all(client.ttl(key) > 0 for key in client.scan_iter("rq:worker:*"))


def test_a_killed_work_horse_is_said_so_and_the_next_job_runs(start: Callable[..., Process], queue: Queue) -> None:
    queue.enqueue("functions.deaf")
    worker = start()
    os.kill(worker.pid_of("deaf"), signal.SIGKILL)
    queue.enqueue("functions.note")
    wait_for(lambda: worker.has("noted"))
    assert "functions.deaf was ended by SIGKILL" in worker.log()


def test_a_work_horse_that_hangs_or_is_stopped_is_killed(start: Callable[..., Process], queue: Queue) -> None:
    queue.enqueue("functions.slice")
    queue.enqueue("functions.deaf")
    queue.enqueue("functions.note")
    worker = start("--impatient")
    horse = worker.pid_of("slice")
    wait_for(lambda: worker.has("slice"))
    os.kill(horse, signal.SIGSTOP)
    wait_for(lambda: worker.has("noted"))
    assert gone(horse)
    assert worker.log().count("has hung") == 2


def test_a_job_that_always_fails_is_slowed_down_and_says_why_each_time(
    start: Callable[..., Process], queue: Queue
) -> None:
    for _ in range(3):
        queue.enqueue("functions.fail")
    queue.enqueue("functions.note")
    worker = start()
    wait_for(lambda: worker.has("noted"))
    assert (worker.directory / "failures").read_text() == "xxx"
    assert worker.log().count("RuntimeError: this job always fails") == 3


def test_a_bus_that_goes_and_comes_back_empty_is_survived_with_two_lines(
    start: Callable[..., Process], valkey_servers: Callable[..., ValkeyServer]
) -> None:
    server = valkey_servers()
    worker = start(url=server.url)
    server.kill()
    wait_for(lambda: "trying again" in worker.log())
    time.sleep(1)
    server.start()
    client = connect(server.url)
    wait_for(lambda: client.smembers(f"rq:workers:{QUEUE}"))
    Queue(QUEUE, connection=client, serializer=JSONSerializer).enqueue("functions.note")
    wait_for(lambda: worker.has("noted"))
    assert len(worker.log().splitlines()) == 2
    assert "the bus is back" in worker.log()


def test_a_worker_may_be_started_before_the_bus(
    start: Callable[..., Process], valkey_servers: Callable[..., ValkeyServer]
) -> None:
    server = valkey_servers()
    server.kill()
    worker = start(url=server.url, ready=False)
    wait_for(lambda: "trying again" in worker.log())
    server.start()
    client = connect(server.url)
    wait_for(lambda: client.smembers(f"rq:workers:{QUEUE}"))


def test_jobs_of_another_data_directory_are_left_alone(client: redis.Redis, valkey: str, tmp_path: Path) -> None:
    """A worker on another host, or with another MONITORING_DATA_DIR, would drain events into a store of its own."""
    Catalog.create_or_open(tmp_path / CATALOG_FILE, partitions=1).close()
    worker = make_worker(["drain"], valkey, load({"MONITORING_DATA_DIR": str(tmp_path)}))
    worker.check_instance()
    client.set(OWNER_KEY, "somebody else's")
    jobs.enqueue(client, jobs.DRAIN)
    with pytest.raises(BusRefused, match="run on the host that has it"):
        worker._turn()
    assert jobs.queued(client, jobs.DRAIN) == 1


def test_where_the_bus_is_too_full_to_enqueue_anything_it_drains_without_a_job(
    start: Callable[..., Process], client: redis.Redis
) -> None:
    client.config_set("maxmemory", "1")
    worker = start("--drain", ready=False)
    wait_for(lambda: worker.has("noted"))
    assert "draining without a job" in worker.log()
    client.config_set("maxmemory", "0")
    wait_for(lambda: client.smembers(f"rq:workers:{QUEUE}"))


def test_an_idle_worker_has_one_thread_and_waits_long(start: Callable[..., Process], client: redis.Redis) -> None:
    worker = start()
    assert psutil.Process(worker.process.pid).num_threads() == 1
    wait_for(lambda: any(row["cmd"] == "blpop" for row in client.client_list()))


def test_short_jobs_are_served_before_drains_which_never_end(
    valkey: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.INFO)
    worker = make_worker(list(jobs.QUEUES), valkey, load({"MONITORING_DATA_DIR": str(tmp_path)}))
    assert worker.queue_names()[-1] == QUEUE
    assert sorted(worker.queue_names()) == sorted(jobs.queue_name(queue) for queue in jobs.QUEUES)
