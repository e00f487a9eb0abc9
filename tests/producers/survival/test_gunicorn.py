"""Under gunicorn's workers of every kind each event arrives once, whether the application is loaded before the fork."""

from __future__ import annotations

import sys

import pytest

from tests.producers.survival.servers import serving, wsgi
from tests.producers.survival.support import environment

REQUESTS = 60


@pytest.mark.parametrize("preload", [False, True], ids=["loaded_by_each", "preloaded"])
@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_every_number_arrives_once_from_two_workers(bus, tmp_path, worker, preload):
    # The application logs when it is loaded: a preloaded one has a thread and a connection before the fork.
    wsgi(tmp_path, loaded='structured.info("loaded", pid=os.getpid())')
    path = tmp_path / "s"
    command = [sys.executable, "-m", "gunicorn", "served:app", "-b", f"unix:{path}", "-w", "2", "-k", worker]
    command += ["--threads", "4"] if worker == "gthread" else []
    command += ["--preload"] if preload else []
    with bus.committing(), serving(command, environment(bus.url, tmp_path), tmp_path, path) as service:
        service.ask_until(processes=2, at_least=REQUESTS)
        assert service.stop() == 0
    service.assert_all_arrived(bus)
    assert not service.vanished(bus)
    loaded = [event for event in bus.events() if event.message == "loaded"]
    assert len(loaded) == (1 if preload else 2)
