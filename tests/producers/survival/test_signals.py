"""A signal may come at any moment: nothing hangs, is lost or counted twice, and what ends the process ends it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter

import pytest

from tests.producers.survival.support import DEADLINE_SECONDS, Bus, attributes, environment, run
from tests.producers.survival.test_dead_bus import SPOKEN, talking

STARTED = """
import logging, os, signal, sys, threading, time
from monitoring import get_logger
from monitoring.producers import sdk
from monitoring.startup import flush_monitoring, start_monitoring_with_config, stop_monitoring
start_monitoring_with_config(log_level="DEBUG")
log, standard = get_logger("app"), logging.getLogger("app")
"""

STORM = (
    """
import atexit, signal
said = {"main": 0, "handler": 0}

@atexit.register
def end():  # after our own function, which was registered later
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(said["main"], said["handler"])
"""
    + STARTED
    + """
def handle(number, frame):
    said["handler"] += 2
    get_logger(f"handler.{said['handler']}").warning("handler")
    (standard if sys.argv[1] == "stops" else log).info("handler")  # a thread that sends leaves the standard one out
    if said["handler"] % 50 == 0:
        flush_monitoring(0.0)

signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.001, float(sys.argv[2]))
ends = time.monotonic() + 1
while time.monotonic() < ends:
    for _ in range(100):
        log.debug("main")
        standard.debug("main")
        said["main"] += 2
    flush_monitoring(0.02)
if sys.argv[1] == "stops":
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert flush_monitoring(60)
    counters = sdk.running().logs.counters()
    assert counters.emitted == sum(said.values()) and not counters.dropped, (counters, said)
"""
)


@pytest.mark.parametrize(("how", "seconds"), [("stops", "0.0007"), ("goes on to the end", "0.01")])
def test_a_handler_that_logs_and_flushes_amid_logging_and_flushing(bus, tmp_path, how, seconds):
    with bus.committing():
        done = run(STORM, bus.url, tmp_path, how, seconds)
    done.assert_clean()
    main, handler = map(int, done.output.split())
    assert Counter(bus.messages()) == {"main": main, "handler": handler}
    assert handler > 50
    assert bus.told()["emitted"] == main + handler


INTERRUPTED = (
    SPOKEN.replace("import orjson", "import orjson, os, signal, threading")
    + """
from monitoring.startup import stop_monitoring

def interrupted(wait):
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        wait(60)
    except KeyboardInterrupt:
        return True

log.info("first")
flushed = interrupted(flush_monitoring)
log.info("second")
say(flushed=flushed)
if sys.argv[1] == "stop":
    print(orjson.dumps({"stopped": interrupted(stop_monitoring)}).decode(), flush=True)
sys.stdin.readline()
"""
)


@pytest.mark.parametrize("how", ["flush", "stop"])
def test_who_waits_for_the_bus_can_be_interrupted_and_nothing_is_lost_by_it(valkey_servers, tmp_path, how):
    server = valkey_servers()
    server.kill()
    with talking(INTERRUPTED, server.url, tmp_path, how) as program:
        program.hear()
        assert program.hear()["flushed"]
        if how == "stop":
            assert program.hear()["stopped"]
        server.start()
        bus = Bus(server.url)
        bus.announce()
        program.go()
    assert bus.messages() == ["first", "second"]


GRACEFUL = (
    STARTED
    + """
def handle(number, frame):
    log.info("told to stop")
    sys.exit(3)

signal.signal(signal.SIGTERM, handle)
for number in range(2000):
    log.info("work")
threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGTERM)).start()
while True:
    flush_monitoring(60)
"""
)


def test_a_handler_that_logs_and_exits_amid_a_flush(bus, tmp_path):
    done = run(GRACEFUL, bus.url, tmp_path)
    assert (done.status, done.errors) == (3, "")
    assert Counter(bus.messages()) == {"work": 2000, "told to stop": 1}
    assert not [report for report in bus.reports().values() if not report["closed"]]


KILLED = (
    STARTED
    + """
number = 0
while True:
    for _ in range(1000):
        log.info("work", number=number)
        number += 1
    if flush_monitoring(60):
        print(number, flush=True)
"""
)


def test_a_signal_that_is_left_to_its_default_ends_the_process_and_nothing_that_was_promised(bus, tmp_path):
    promised = 0
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED], env=environment(bus.url, tmp_path), stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            promised = int(line)
            if promised == 5000:
                process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE_SECONDS) == -signal.SIGTERM
    arrived = sorted(attributes(event)["number"] for event in bus.events())
    assert arrived == list(range(len(arrived))) and len(arrived) >= promised >= 5000
    assert bus.told() == {"emitted": len(arrived)}
