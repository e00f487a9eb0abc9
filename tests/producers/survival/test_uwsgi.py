"""Under uWSGI, which forks in C, each event arrives once, and what it has to be told is said once."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.producers.survival.servers import Service, serving, wsgi
from tests.producers.survival.support import Bus, environment, wait_for

UWSGI = str(Path(sys.executable).with_name("uwsgi"))
LOADED = 'structured.info("loaded", pid=os.getpid())'


def command(path: Path, *options: str) -> list[str]:
    """uWSGI, ending when it is told to."""
    return [UWSGI, "--http-socket", str(path), "--module", "served:app", "--die-on-term", *options]


def stop(service: Service) -> None:
    """Stop it when no worker is busy: one that is ends without a word, and runs none of Python's exit functions."""
    wait_for(lambda: service.log.read_text().count("] GET /?") >= len(service.answered), "the requests are over")
    service.stop()


def loaded(bus: Bus) -> int:
    """How many events came that were logged when the application was loaded."""
    return bus.messages().count("loaded")


@pytest.mark.parametrize(
    "options",
    [
        "--master --processes 2 --enable-threads",
        pytest.param(
            "--master --processes 2 --enable-threads --py-call-osafterfork",
            marks=pytest.mark.skipif(sys.version_info >= (3, 13), reason="it hangs without anything of ours, too"),
        ),
        "--master --processes 2 --enable-threads --lazy-apps",
        "--master --processes 2 --threads 2",
        "--enable-threads",
    ],
)
def test_every_number_arrives_once_from_every_worker(bus, tmp_path, options):
    wsgi(tmp_path, loaded=LOADED)
    path, processes = tmp_path / "s", 2 if "--processes" in options else 1
    env = environment(bus.url, tmp_path)
    with bus.committing(), serving(command(path, *options.split()), env, tmp_path, path) as service:
        service.ask_until(processes=processes, at_least=60)
        stop(service)
    service.assert_all_arrived(bus)
    assert not service.vanished(bus)
    assert loaded(bus) == (2 if "--lazy-apps" in options else 1)
    assert "monitoring:" not in service.log.read_text()


def test_workers_that_are_started_again_do_not_send_again_what_the_first_ones_had(bus, tmp_path):
    wsgi(tmp_path, loaded=LOADED)
    path = tmp_path / "s"
    options = ["--master", "--processes", "2", "--enable-threads"]
    with serving(command(path, *options), environment(bus.url, tmp_path), tmp_path, path) as service:
        service.ask_until(processes=2, at_least=20)
        wait_for(lambda: len(bus.events()) == 2 * len(service.answered) + 1, "all of it is on the bus")
        for pid in set(service.answered.values()):
            os.kill(pid, signal.SIGKILL)
        service.ask_until(processes=4, at_least=20)
        stop(service)
    service.assert_all_arrived(bus)
    assert loaded(bus) == 1


def test_without_threads_it_says_so_once_and_the_end_of_a_worker_sends_what_it_has(bus, tmp_path):
    wsgi(tmp_path)
    path = tmp_path / "s"
    env = environment(bus.url, tmp_path)
    with serving(command(path, "--master", "--processes", "2"), env, tmp_path, path) as service:
        service.ask_until(processes=2, at_least=60)
        stop(service)
    service.assert_all_arrived(bus)
    assert service.log.read_text().count("--enable-threads") == 1


@pytest.mark.parametrize("theirs", ["own", "decorators", "later decorators"])
def test_the_applications_own_hook_is_called_too(bus, tmp_path, theirs):
    own = "import uwsgi; ran = []; uwsgi.post_fork_hook = lambda: ran.append(os.getpid())"
    decorators = "from uwsgidecorators import postfork; ran = []; postfork(lambda: ran.append(os.getpid()))"
    before = {"own": own, "decorators": decorators, "later decorators": ""}[theirs]
    wsgi(tmp_path, before=before, loaded=LOADED if before else f"{decorators}\n{LOADED}")
    served = (tmp_path / "served.py").read_text()
    (tmp_path / "served.py").write_text(
        served.replace("    return [", "    assert ran == [os.getpid()], ran\n    return [")
    )
    path = tmp_path / "s"
    options = ["--master", "--processes", "2", "--enable-threads"]
    with serving(command(path, *options), environment(bus.url, tmp_path), tmp_path, path) as service:
        service.ask_until(processes=2, at_least=20)
        stop(service)
    service.assert_all_arrived(bus)
