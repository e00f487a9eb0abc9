"""Under uvicorn each event arrives once, though its workers end by the signal that they were stopped by."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.producers.survival.servers import ASGI, serving
from tests.producers.survival.support import environment


@pytest.mark.parametrize("workers", [1, 2])
def test_every_number_arrives_once_from_every_worker(bus, tmp_path, workers):
    (tmp_path / "served.py").write_text(ASGI)
    path = tmp_path / "s"
    command = [sys.executable, "-m", "uvicorn", "served:app", "--uds", str(path), "--workers", str(workers)]
    with bus.committing(), serving(command, environment(bus.url, tmp_path), tmp_path, path) as service:
        service.ask_until(processes=workers, at_least=60)
        assert service.stop() == (-signal.SIGTERM if workers == 1 else 0)
    service.assert_all_arrived(bus)
    assert not service.vanished(bus)
