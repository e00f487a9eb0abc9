"""A forked child publishes as its parent does, whatever the parent's threads were doing, and however it ends."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.producers.survival.support import attributes, run

THREADED = """
import os, sys, threading, logging
from monitoring import get_logger
from monitoring.startup import flush_monitoring, start_monitoring_with_config

start_monitoring_with_config(log_level="DEBUG")
ending = threading.Event()

def noise(name):
    number = 0
    while not ending.is_set():
        get_logger(f"noise.{name}.{number % 97}").debug("noise")
        logging.getLogger(f"noise.{name}.{number % 89}").debug("noise")
        number += 1

threads = [threading.Thread(target=noise, args=(name,)) for name in range(3)]
for thread in threads:
    thread.start()
statuses = []
for number in range(20):
    child = os.fork()
    if child == 0:
        get_logger(f"child.{number}").info("structured", number=number, pid=os.getpid())
        logging.getLogger(f"child.{number}").info("standard", extra={"number": number, "pid": os.getpid()})
        os._exit(0)
    statuses.append(os.waitpid(child, 0)[1])
ending.set()
for thread in threads:
    thread.join()
print(statuses)
"""


def test_children_of_a_program_whose_threads_log_all_the_time_say_what_they_have_to(bus, tmp_path):
    with bus.committing():
        done = run(THREADED, bus.url, tmp_path)
    done.assert_clean()
    assert done.output.strip() == str([0] * 20)
    said = [(event.message, attributes(event)) for event in bus.events() if event.logger.startswith("child.")]
    assert sorted((text, fields["number"]) for text, fields in said) == sorted(
        (text, number) for text in ("structured", "standard") for number in range(20)
    )
    assert len({fields["pid"] for _, fields in said}) == 20
    assert not [report for report in bus.reports().values() if not report["closed"]]


PROCESSES = """
import logging, multiprocessing, os, sys, threading
from monitoring import get_logger
from monitoring.startup import start_monitoring_with_config

def work(number):
    if sys.argv[1] != "fork":
        start_monitoring_with_config()
    get_logger("child").info("structured", number=number, pid=os.getpid())
    logging.getLogger("child").info("standard", extra={"number": number, "pid": os.getpid()})
    return number

if __name__ == "__main__":
    start_monitoring_with_config()
    get_logger("parent").info("before")
    context = multiprocessing.get_context(sys.argv[1])
    processes = [context.Process(target=work, args=(number,)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    get_logger("parent").info("behind")
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_send_all_and_close(bus, tmp_path, method):
    (tmp_path / "program.py").write_text(PROCESSES)
    script = "import runpy; runpy.run_path('program.py', run_name='__main__')" if method == "fork" else ""
    if method == "fork":
        done = run(script, bus.url, tmp_path, method)
    else:
        done = run(
            "import os, sys; os.execv(sys.executable, [sys.executable, 'program.py', sys.argv[1]])",
            bus.url,
            tmp_path,
            method,
        )
    done.assert_clean()
    said = Counter((event.logger, event.message) for event in bus.events())
    assert said == {
        ("child", "structured"): 4,
        ("child", "standard"): 4,
        ("parent", "before"): 1,
        ("parent", "behind"): 1,
    }
    assert not [report for report in bus.reports().values() if not report["closed"]]


GRANDCHILDREN = """
import os
from monitoring import get_logger
from monitoring.startup import start_monitoring_with_config
start_monitoring_with_config()
log = get_logger("app")
for generation in range(4):
    log.info("here", generation=generation)
    if child := os.fork():
        os.waitpid(child, 0)
        break
else:
    log.info("last")
"""


def test_children_of_children_send_their_own_and_nobody_elses(bus, tmp_path):
    run(GRANDCHILDREN, bus.url, tmp_path).assert_clean()
    assert bus.messages() == ["here"] * 4 + ["last"]
    assert len(bus.reports()) == 5


IDLE = """
import os, subprocess, sys, time
from monitoring import get_logger
from monitoring.startup import start_monitoring_with_config
start_monitoring_with_config()
get_logger("app").info("x")
child = os.fork()
if child == 0:
    import threading
    names = {thread.name for thread in threading.enumerate()}
    os._exit(0 if names <= {"MainThread", "monitoring-rounds"} else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert subprocess.run([sys.executable, "-c", "pass"], preexec_fn=lambda: None).returncode == 0
"""


def test_a_child_that_says_nothing_opens_no_lane(bus, tmp_path):
    run(IDLE, bus.url, tmp_path).assert_clean()
    assert len(bus.reports()) == 1
    assert len(bus.streams.reports("metrics", 0)) == 1


IMPORTS = """
import sys, threading, time
from monitoring import get_logger
from monitoring.pipeline.publish import forks
from monitoring.producers import sdk
from monitoring.startup import flush_monitoring, start_monitoring_with_config

class Watch:
    def find_spec(self, name, path=None, target=None):  # asked for every module that is not there yet
        if threading.current_thread().name.startswith("monitoring") and not forks._gate.locked():
            found.append((threading.current_thread().name, name))

found = []
sys.meta_path.insert(0, Watch())
start_monitoring_with_config(collect_interval=0.1, metrics_interval=0.1, collectors="process,system")
try:
    1 / 0
except ZeroDivisionError:
    get_logger("app").exception("x", url="http://user:secret@host/", password="hidden")
flush_monitoring(float(sys.argv[1]))
time.sleep(0.5)  # the collectors begin within a second
while sdk.running().logs._flusher.breaker.failures == 1:
    time.sleep(0.01)
print(found)
"""


@pytest.mark.parametrize("way", ["unix", "tcp", "http", "nothing"])
def test_a_thread_of_ours_imports_only_while_forks_are_held_off(bus, tmp_path, way):
    """A child that is forked meanwhile would never be able to import the same, and so never to send."""
    settings = {
        "unix": {},
        "tcp": {"MONITORING_BUS_URL": "redis://localhost:1"},
        "http": {"MONITORING_BUS_URL": "", "MONITORING_URL": "http://localhost:1", "MONITORING_API_KEY": "x"},
        "nothing": {"MONITORING_BUS_URL": "", "MONITORING_DATA_DIR": ""},
    }[way]
    done = run(IMPORTS, bus.url, tmp_path, "10" if way == "unix" else "0.5", **settings)
    assert done.status == 0, done.errors
    assert done.output.strip() == "[]"
