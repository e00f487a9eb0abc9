"""The end of the interpreter sends what there is, whoever still logs; and never hangs, fails or complains."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest

from tests.producers.survival.support import Bus, attributes, run

LAST_WORDS = """
import atexit, logging, sys, threading, time
from monitoring import get_logger
from monitoring.startup import start_monitoring_with_config

log, standard = get_logger("app"), logging.getLogger("app")
logging.getLogger().addHandler(logging.NullHandler())

def early():
    log.info("atexit, registered before the start")
    standard.info("atexit, registered before the start, standard")

atexit.register(early)
start_monitoring_with_config()
atexit.register(lambda: log.info("atexit, registered behind the start"))

class Last:
    def __del__(self):
        log.warning("finalizer")
        standard.info("finalizer, standard")

last = Last()
circle = Last()
circle.itself = circle

def chatter():
    while True:
        log.info("daemon")
        standard.info("daemon, standard")

def outlive():
    main.join()
    time.sleep(0.05)
    for number in range(100):
        log.info("outlives", number=number)

main = threading.main_thread()
threading.Thread(target=outlive).start()
if sys.argv[1] == "chatter":
    for _ in range(3):
        threading.Thread(target=chatter, daemon=True).start()
for number in range(2500):
    log.info("before the end", number=number)
"""
"""Says something at every moment of an interpreter's end."""

ON_TIME = ["atexit, registered before the start", "atexit, registered before the start, standard",
           "atexit, registered behind the start"]  # fmt: skip


@contextmanager
def useless(kind: str, valkey_servers: Callable[..., Any]) -> Iterator[str]:
    """A port that nobody listens on, a server that accepts and never answers, a server that was stopped."""
    if kind == "is stopped":
        server = valkey_servers()
        Bus(server.url).announce()
        os.kill(server.pid, signal.SIGSTOP)
        yield server.url
        os.kill(server.pid, signal.SIGCONT)
        return
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if kind == "hangs":
            listener.listen(128)
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("drained", [True, False])
def test_everything_that_was_said_on_time_arrives_once(bus, tmp_path, drained):
    with bus.committing() if drained else nullcontext():
        done = run(LAST_WORDS, bus.url, tmp_path, "silent")
    done.assert_clean()
    messages = bus.messages()
    assert [text for text in messages if text.startswith("atexit")] == ON_TIME
    said = [(event.message, attributes(event)["number"]) for event in bus.events() if "number" in event.attributes]
    assert sorted(said) == [("before the end", n) for n in range(2500)] + [("outlives", n) for n in range(100)]
    assert not [report for report in bus.reports().values() if not report["closed"]]


def test_threads_that_log_without_end_do_not_hold_it_up(bus, tmp_path):
    done = run(LAST_WORDS, bus.url, tmp_path, "chatter")
    done.assert_clean()
    messages = bus.messages()
    told = bus.told()
    dropped = told.get("buffer_full", 0) + told.get("shed", 0) + told.get("closed", 0)
    assert len(messages) == told["emitted"] - dropped
    last_words = [text for text in messages if text.startswith("atexit")]
    assert last_words == [text for text in ON_TIME if text in last_words]  # the end may be over before they are said


def test_threads_that_redact_without_end_do_not_abort_it(bus, tmp_path):
    for _ in range(3):  # each time has its chance: without the redactor's own watch on the end, seven in ten
        done = run(LAST_WORDS, bus.url, tmp_path, "chatter", MONITORING_CONSOLE="on")
        assert done.status == 0, done.errors[-200:]


@pytest.mark.parametrize(
    ("kind", "how"),
    [("refuses", "silent"), ("refuses", "chatter"), ("hangs", "silent"), ("is stopped", "chatter")],
)
def test_it_does_not_hang_or_complain_where_the_bus_is_of_no_use(valkey_servers, tmp_path, kind, how):
    with useless(kind, valkey_servers) as url:
        done = run(LAST_WORDS, url, tmp_path, how)
    assert done.status == 0
    lines = done.errors.splitlines()
    assert len(lines) <= 1 and all(line.startswith("monitoring: ") for line in lines), done.errors


NO_THREADS = """
import resource, sys
from monitoring import get_logger
from monitoring.producers import sdk
from monitoring.startup import flush_monitoring, start_monitoring_with_config
start_monitoring_with_config()
log = get_logger("app")
(size,) = [int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmSize")]
resource.setrlimit(resource.RLIMIT_AS, (size + (4 << 20), resource.RLIM_INFINITY))  # a stack takes 8 MiB
for number in range(100):
    log.info("without a thread")
assert sdk.running().logs._thread is None
if sys.argv[1] == "flush":
    assert flush_monitoring(30)
elif sys.argv[1] == "later":
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    log.info("with one")
    assert sdk.running().logs._thread.is_alive()
"""


@pytest.mark.parametrize("how", ["flush", "later", "end"])
def test_where_no_thread_can_be_started_who_flushes_sends(bus, tmp_path, how):
    done = run(NO_THREADS, bus.url, tmp_path, how)
    assert done.status == 0, done.errors
    assert done.errors == ("monitoring: no thread can be started, so events wait in memory: can't start new thread\n")
    assert bus.messages() == ["with one"] * (how == "later") + ["without a thread"] * 100
    assert not [report for report in bus.reports().values() if not report["closed"]]
