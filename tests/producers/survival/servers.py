"""A web application under real servers: asked, stopped, and held against what arrived."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.producers.survival.support import DEADLINE_SECONDS, Bus, attributes, running, wait_for

WSGI = """
import logging, os
{before}
from monitoring import get_logger
from monitoring.startup import start_monitoring_with_config

{start}
structured, standard = get_logger("app"), logging.getLogger("app")
{loaded}

def app(environ, start_response):
    number = int(environ["QUERY_STRING"])
    structured.info("structured", number=number, pid=os.getpid())
    standard.info("standard", extra={{"number": number, "pid": os.getpid()}})
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""
"""Says its number through both kinds of loggers, and answers with its process id."""

ASGI = """
import logging, os
from monitoring import get_logger
from monitoring.startup import start_monitoring_with_config

start_monitoring_with_config()
structured, standard = get_logger("app"), logging.getLogger("app")

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    number = int(scope["query_string"])
    structured.info("structured", number=number, pid=os.getpid())
    standard.info("standard", extra={"number": number, "pid": os.getpid()})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


def wsgi(directory: Path, *, before: str = "", start: str = "start_monitoring_with_config()", loaded: str = "") -> None:
    """Write the application as module `served`; `before` stands in front of our imports, `loaded` behind the start."""
    (directory / "served.py").write_text(WSGI.format(before=before, start=start, loaded=loaded))


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=DEADLINE_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE_SECONDS)
        self.sock.connect(str(self._path))


@dataclass
class Service:
    """A running server and what it was asked: number by number, the process that answered."""

    process: subprocess.Popen[str]
    path: Path
    log: Path
    answered: dict[int, int] = field(default_factory=dict)

    def ask(self, number: int) -> None:
        """One request; it must succeed."""
        connection = _UnixConnection(self.path)
        try:
            connection.request("GET", f"/?{number}", headers={"Connection": "close"})
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, (body, self.log.read_text())
            self.answered[number] = int(body)
        finally:
            connection.close()

    def ask_until(self, processes: int, at_least: int) -> None:
        """Requests, four at a time, until so many were made and so many processes have answered."""
        with ThreadPoolExecutor(4) as pool:
            while len(self.answered) < at_least or len(set(self.answered.values())) < processes:
                first = len(self.answered)
                list(pool.map(self.ask, range(first, first + 20)))
                assert first < 100 * at_least, f"only {set(self.answered.values())} answered: {self.log.read_text()}"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it as its supervisor would; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_SECONDS)

    def assert_all_arrived(self, bus: Bus) -> None:
        """Every number once from each kind of logger, and from the process that had answered."""
        logged: dict[str, list[tuple[int, int]]] = {"structured": [], "standard": []}
        for event in bus.events():
            if event.logger == "app" and event.message in logged:
                fields = attributes(event)
                logged[event.message].append((fields["number"], fields["pid"]))
        expected = sorted(self.answered.items())
        assert sorted(logged["structured"]) == expected, self.log.read_text()
        assert sorted(logged["standard"]) == expected

    def vanished(self, bus: Bus) -> set[int]:
        """Processes that ended and have not said so."""
        return {report["pid"] for report in bus.reports().values() if not report["closed"]}


@contextmanager
def serving(command: list[str], env: Mapping[str, str], directory: Path, path: Path) -> Iterator[Service]:
    """The server on this unix socket, once it accepts connections."""
    with running(command, env, directory) as process:
        service = Service(process, path, directory / "log")

        def accepts() -> bool:
            assert process.poll() is None, service.log.read_text()
            with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(path))
                return True
            return False

        wait_for(accepts, "the server accepts connections")
        yield service
