"""Programs that are observed, run for real, and what came of them on a real bus."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from monitoring.pipeline.bus.frame import Frame, decode_payload
from monitoring.pipeline.bus.streams import Streams, connect, stream_key
from monitoring.pipeline.errors import MonitoringError
from monitoring.pipeline.events.event import COLUMNS, Event

ROOT = Path(__file__).parents[3]
DEADLINE_SECONDS = 60.0
"""For what must come to an end: far more than it needs on a machine that others use too."""


class Bus:
    """A server that is ours, and what is on it: every frame once, as the store would take it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.streams = Streams(connect(url))

    def announce(self) -> None:
        """What `monitoring up` does."""
        self.streams.announce({"logs": 1, "metrics": 1}, "test")

    def frames(self) -> list[Frame]:
        """By lane and seq, verified; what was sent again, and is the same, counts once."""
        found: dict[tuple[str, int], Frame] = {}
        cursor, key = "0-0", stream_key("logs", 0)
        while entries := self.streams.read({key: cursor}, count=1000, block_ms=None).get(key):
            cursor = entries[-1].id
            for entry in entries:
                frame = Frame.from_fields(entry.fields)
                frame.verify()
                known = found.setdefault((frame.lane, frame.seq), frame)
                assert known.digest == frame.digest, "a sealed frame never changes"
        return list(found.values())

    def events(self) -> list[Event]:
        """Every event of every frame."""
        return [event for frame in self.frames() for event in events_of(frame)]

    def messages(self) -> list[str]:
        """Their messages, sorted."""
        return sorted(event.message for event in self.events())

    def told(self) -> dict[str, int]:
        """What the lanes' newest frames say of all events: `emitted`, and dropped by reason."""
        newest: dict[str, Frame] = {}
        for frame in self.frames():
            if frame.lane not in newest or newest[frame.lane].seq < frame.seq:
                newest[frame.lane] = frame
        total = {"emitted": 0}
        for frame in newest.values():
            for name, number in {"emitted": frame.counters["emitted"], **frame.counters["dropped"]}.items():
                total[name] = total.get(name, 0) + number
        return total

    def reports(self) -> dict[str, dict[str, Any]]:
        """What each lane's process last said of itself."""
        return self.streams.reports("logs", 0)

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Meanwhile tell every lane that what it sent is stored, as a drain does; nothing is taken away."""
        ending = threading.Event()

        def commit() -> None:
            cursors = dict.fromkeys(("logs", "metrics"), "0-0")
            low = {signal: dict[str, int]() for signal in cursors}
            with suppress(MonitoringError):  # the test has taken the bus away
                while not ending.wait(0.01):
                    for signal, cursor in cursors.items():
                        key = stream_key(signal, 0)
                        for entry in self.streams.read({key: cursor}, count=1000, block_ms=None).get(key, ()):
                            cursors[signal], frame = entry.id, Frame.from_fields(entry.fields)
                            low[signal][frame.lane] = max(low[signal].get(frame.lane, 0), frame.seq)
                        self.streams.settle(signal, 0, [], low[signal])

        thread = threading.Thread(target=commit)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()


def events_of(frame: Frame) -> list[Event]:
    """The events of a frame."""
    payload = decode_payload(frame)
    if not payload.columns:
        return []
    columns = [column if isinstance(column, list) else [column] * payload.events for column in payload.columns]
    assert len(columns) == len(COLUMNS)
    return [Event(*row) for row in zip(*columns, strict=True)]


def attributes(event: Event) -> dict[str, Any]:
    """The attributes of an event."""
    found: dict[str, Any] = orjson.loads(event.attributes) if event.attributes else {}
    return found


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that has ended."""

    status: int
    output: str
    errors: str
    seconds: float

    def assert_clean(self) -> None:
        """It succeeded and nothing was said on standard error."""
        assert (self.status, self.errors) == (0, "")


def environment(url: str, directory: Path, **settings: str) -> dict[str, str]:
    """What a program is started with: nothing of ours but these settings."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MONITORING_", "LOG_", "REDIS_", "PYTHON", "COV_", "UWSGI_", "GUNICORN_"))
    }
    return {
        **clean,
        "PYTHONPATH": f"{directory}{os.pathsep}{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "ignore:This process:DeprecationWarning",  # Python 3.12 warns of any fork beside a thread
        "MONITORING_BUS_URL": url,
        "MONITORING_DATA_DIR": str(directory),
        "MONITORING_COLLECTORS": "none",
        "MONITORING_CONSOLE": "off",
        **settings,
    }


def run(script: str, url: str, directory: Path, *arguments: str, **settings: str) -> Finished:
    """Run a program to its end. A program that does not end in time is killed, and the test fails."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        env=environment(url, directory, **settings),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr, time.monotonic() - began)


@contextmanager
def running(command: list[str], env: Mapping[str, str], directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A program that goes on meanwhile; killed at the end if it still does. Its output is in `log`."""
    with (directory / "log").open("a") as log:
        process = subprocess.Popen(
            command, env=dict(env), cwd=directory, stdout=log, stderr=log, stdin=subprocess.PIPE, text=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def wait_for(condition: Callable[[], Any], what: str, seconds: float = DEADLINE_SECONDS) -> Any:
    """Wait until it is so, and return what it said; a test fails whose condition does not come true."""
    ends = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        assert time.monotonic() < ends, f"it did not come to this: {what}"
        time.sleep(0.01)
