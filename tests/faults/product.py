"""The product and all that belongs to it, as processes that a fault may hit."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from monitoring.pipeline import jobs
from tests.faults.alarm_checker import missing
from tests.faults.alarms import Webhook, make_channel, rules_text
from tests.faults.bus import PARTITIONS, Bus, die_with_parent, free_port, wait_until
from tests.faults.counts import COUNTS, last_round
from tests.faults.derived import DEFINITION, unsent
from tests.faults.journal import SUFFIX, event_key

__all__ = ["COUNTING", "OVER_BATCHES", "OVER_FRAMES", "Product", "stored_in"]

OVER_FRAMES, OVER_BATCHES, COUNTING = PARTITIONS, PARTITIONS + 1, PARTITIONS + 2
"""Producers have numbers: one a partition on the bus, then one that sends frames and one that posts batches to
the API, an eighth as many events each, and one of metrics on the bus."""
_SIZE = "8g"


def stored_in(data: Path) -> int:
    """Events and dead letters in all segments of logs of a data directory."""
    total = 0
    for path in data.glob("logs/p*/[0-9]*.db"):
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
            total += sum(connection.execute("SELECT rows, letters FROM head").fetchone())
    return total


class Product:
    """`monitoring up` on a bus of its own, with producers that keep journals."""

    def __init__(self, root: Path, *, seed: int, rate: int, bus: Callable[[Path], Any] = Bus) -> None:
        """`bus` makes the bus in a directory: a single server, or the cluster of `cluster_bus`."""
        self.root, self.seed, self.rate = root, seed, rate
        self.data, self.spool = root / "data", root / "spool"
        self.journals, self.points = root / "journals", root / "points"
        for directory in (self.data, self.spool, self.journals, self.points):
            directory.mkdir(parents=True, exist_ok=True)
        self.mounted = [directory for directory in (self.data, self.spool) if _mount(directory)]
        self.definitions = root / "derived.yaml"
        self.definitions.write_text(DEFINITION)
        self.rules = root / "rules"
        self.rules.mkdir(exist_ok=True)
        (self.rules / "faults.yaml").write_text(rules_text())
        self.webhook = Webhook(self.journals)
        for leftover in self.points.iterdir():
            leftover.unlink()
        self.bus = bus(root / "bus")
        self.clock = root / "clock"
        self.set_clock(0)
        self.port = free_port()
        self._up: subprocess.Popen[bytes] | None = None
        self._producers: dict[int, subprocess.Popen[bytes]] = {}
        self._names: dict[int, str] = {}
        self._starts = 0
        self._born = len(list(self.journals.iterdir()))

    # ------------------------------------------------------------------ processes

    def start(self) -> None:
        """Start everything and wait until events are stored in every partition."""
        self.start_up()
        key = self.data / "admin.key"
        wait_until(lambda: make_channel(self.port, key, self.webhook.url), "the API takes a channel")
        self.start_producers()
        self.wait_for_progress()
        self.wait_for_answers()

    def start_up(self) -> None:
        """Start `monitoring up`."""
        self._starts += 1
        with (self.root / "up.log").open("ab") as log:
            self._up = subprocess.Popen(
                [sys.executable, "-m", "monitoring", "up"], env=self.environment(), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, preexec_fn=die_with_parent,
            )  # fmt: skip
        wait_until(lambda: bool(self.parts("drain")) and bool(self.parts("ticker")), "the product has started")

    def start_workers(self, count: int) -> subprocess.Popen[bytes]:
        """Start so many more drains."""
        command = [sys.executable, "-m", "monitoring", "worker", "--queue", "drain", "--processes", str(count)]
        with (self.root / "workers.log").open("ab") as log:
            return subprocess.Popen(
                command, env=self.environment(), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                preexec_fn=die_with_parent,
            )  # fmt: skip

    def environment(self) -> dict[str, str]:
        """Of each of the product's processes."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("MONITORING_", "REDIS_URL"))}
        return {
            **clean,
            "MONITORING_DATA_DIR": str(self.data),
            "MONITORING_SPOOL_DIR": str(self.spool),
            "MONITORING_BUS_URL": self.bus.url,
            **({"MONITORING_QUEUE_URL": queue} if (queue := getattr(self.bus, "queue_url", "")) else {}),
            "MONITORING_PORT": str(self.port),
            "MONITORING_PARTITIONS": str(PARTITIONS),
            "MONITORING_WORKERS": "2",
            "MONITORING_SEGMENT_EVENTS": str(max(500, 2 * self.rate)),  # a roll-over every two seconds
            "MONITORING_SEGMENT_AGE": "10s",  # the segments of metrics roll over by size and age, not by rows
            "MONITORING_DRAIN_SLICE": "10s",
            "MONITORING_RETENTION_AGE": "0",
            "MONITORING_RETENTION_BYTES": "0",
            "MONITORING_METRICS_RETENTION_AGE": "0",
            "MONITORING_METRICS_RETENTION_BYTES": "0",
            # Every other time the reserve is nothing, and SQLite itself runs into the full disk.
            "MONITORING_DISK_RESERVE": "1mb" if self._starts % 2 else "0",
            "MONITORING_DERIVED_FILE": str(self.definitions),
            "MONITORING_RULES_DIR": str(self.rules),
            "MONITORING_ALLOW_PRIVATE_WEBHOOKS": "true",
            "MONITORING_FAILPOINT_DIR": str(self.points),
            "MONITORING_API_LOG": "off",  # no journal knows what the API says of itself
            "PYTHONPATH": str(Path(__file__).parent / "clock"),
            "FAULT_CLOCK": str(self.clock),
        }

    @property
    def up(self) -> subprocess.Popen[bytes]:
        """The supervisor."""
        assert self._up is not None
        return self._up

    def parts(self, name: str) -> list[int]:
        """Pids of the supervisor's children of this name."""
        found = []
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.up.pid).children():
                if _comm(child.pid).startswith(f"mon:{name}"):
                    found.append(child.pid)
        return found

    def horses(self) -> list[int]:
        """Pids of the processes that drain."""
        found = []
        for worker in self.parts("drain"):
            with contextlib.suppress(psutil.Error):
                found += [child.pid for child in psutil.Process(worker).children()]
        return found

    def start_producers(self) -> None:
        """Start all of them, each under a new name."""
        for number in range(PARTITIONS + 3):
            self.start_producer(number)

    def start_producer(self, number: int) -> None:
        """Start the producer of this number under a new name."""
        self._born += 1
        name = f"p{number}x{self._born}"
        url, key = f"http://127.0.0.1:{self.port}", str(self.data / "admin.key")
        rate = self.rate if number < PARTITIONS else max(4, self.rate // 8)
        arguments = [name, str(self.seed), str(rate), str(self.journals)]
        if number == OVER_BATCHES:
            command = ["tests.faults.client", *arguments, url, key]
        elif number == COUNTING:
            command = ["tests.faults.counting", *arguments, str(self.spool), self.bus.url]
        else:
            way = [url, key] if number == OVER_FRAMES else [self.bus.url]
            command = ["tests.faults.producer", *arguments, str(number), str(self.spool), *way]
        with (self.root / "producers.log").open("ab") as log:
            self._producers[number] = subprocess.Popen(
                [sys.executable, "-m", *command], stdin=subprocess.PIPE, stderr=log, preexec_fn=die_with_parent
            )
        self._names[number] = name

    def poison_producer(self, number: int) -> None:
        """Have it emit an event that kills the drain."""
        pipe = self._producers[number].stdin
        assert pipe is not None
        pipe.write(b"poison\n")
        pipe.flush()

    def maintain(self) -> bool:
        """Ask for maintenance now, unless it waits to be done already. True, or a bus that does not answer raises."""
        if jobs.queued(self.bus.client, jobs.MAINTENANCE) == 0:
            jobs.enqueue(self.bus.client, jobs.MAINTENANCE)
        return True

    def kill_producer(self, number: int) -> None:
        """SIGKILL the producer of this number."""
        self._producers[number].kill()
        self._producers[number].wait()

    def kill_everything(self) -> None:
        """SIGKILL the product, the bus and all producers, as a power cut would but for what the disk forgets."""
        for process in (self.up, *self._producers.values()):
            process.kill()
        self.bus.kill()
        for process in (self.up, *self._producers.values()):
            process.wait()

    def set_clock(self, seconds: float) -> None:
        """Set the wall clock of the product's processes so far ahead of the true time."""
        if not self.clock.exists():
            self.clock.write_bytes(bytes(8))
        with self.clock.open("r+b") as file:
            file.write(struct.pack("<q", int(seconds * 1e9)))

    # ------------------------------------------------------------------ what is stored

    def wait_for_progress(self, *, seconds: float = 120.0) -> float:
        """Seconds until what is emitted from now on is searchable, in every partition, and counted."""
        began = time.monotonic()
        counts = self.journals / f"{self._names[COUNTING]}{COUNTS}"
        coming = last_round(counts, "m") + 1
        for number in range(PARTITIONS):
            keys = self._coming_keys(number)
            wait_until(partial(self._found, number, keys), f"{keys} is stored", seconds=seconds)
        wait_until(lambda: last_round(counts, "s") >= coming, f"round {coming} of {counts} is stored", seconds=seconds)
        return time.monotonic() - began

    def _coming_keys(self, number: int) -> list[str]:
        """Keys of the next events of a producer; one of them may stand for an input that is no event."""
        file = self.journals / f"{self._names[number]}{SUFFIX}"
        lines = file.read_bytes().splitlines() if file.exists() else []
        last = next((int(line.split()[1]) for line in reversed(lines) if line[:2] in (b"e ", b"r ")), -1)
        return [event_key(self._names[number], last + step) for step in (1, 2, 3)]

    def _found(self, partition: int, keys: list[str]) -> bool:
        """Whether the text index of one of the newest segments has one of the keys."""
        words = " OR ".join(f'"{key}"' for key in keys)
        for path in sorted((self.data / "logs" / f"p{partition}").glob("[0-9]*.db"))[-3:]:
            try:
                with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
                    if connection.execute("SELECT 1 FROM text WHERE text MATCH ? LIMIT 1", (words,)).fetchone():
                        return True
            except sqlite3.Error:
                continue  # a roll-over is under way, or the disk is full
        return False

    def wait_for_answers(self, *, seconds: float = 120.0) -> float:
        """Seconds until those that send through the API have something new acknowledged."""
        ways = (OVER_FRAMES, OVER_BATCHES)
        before = [self._answers(number) for number in ways]

        def moved() -> bool:
            return all(self._answers(number) > count for number, count in zip(ways, before, strict=True))

        return wait_until(moved, "the API acknowledges again", seconds=seconds)

    def _answers(self, number: int) -> int:
        file = self.journals / f"{self._names[number]}{SUFFIX}"
        return file.read_bytes().count(b"\na ") if file.exists() else 0

    def letters(self, kind: str) -> int:
        """Dead letters of a kind."""
        total = 0
        for path in self.data.glob("logs/p*/[0-9]*.db"):
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
                query = "SELECT count(*) FROM dead_letter WHERE kind = ?"
                total += connection.execute(query, (kind,)).fetchone()[0]
        return total

    def stored(self) -> int:
        """Events and dead letters in all segments."""
        return stored_in(self.data)

    # ------------------------------------------------------------------ the end

    def finish(self) -> None:
        """Stop the producers in order, wait until nothing is in flight, stop the product in order."""
        for process in self._producers.values():
            assert process.stdin is not None
            process.stdin.close()
        for process in self._producers.values():
            process.wait(timeout=180)
        self.set_clock(0)
        # A rule whose worker was killed is looked at again after a minute; what is missing then, the checker finds.
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not missing(self.journals), "everybody was told", seconds=120)
        self._stop_when_drained()
        if self._spooled():  # the API had not heard of its last commits: its lane is an orphan's now
            self.start_up()
            wait_until(lambda: not self._spooled(), "every spooled lane is released", seconds=180)
            self._stop_when_drained()

    def _spooled(self) -> bool:
        return any(self.spool.glob("*/*"))

    def _stop_when_drained(self) -> None:
        empty = "the streams are empty, and what was derived from logs is counted"
        wait_until(lambda: self.bus.lengths() == 0 and not unsent(self.data), empty, seconds=180)
        self.up.send_signal(signal.SIGTERM)
        status = self.up.wait(timeout=30)
        if status != 0:
            raise RuntimeError(f"the product ended with status {status}: see {self.root / 'up.log'}")

    def verify(self) -> str:
        """What the product's own verification doubts; "" where nothing."""
        command = [sys.executable, "-m", "monitoring", "verify"]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else done.stdout + done.stderr

    def close(self) -> None:
        """End every process."""
        for process in (self._up, *self._producers.values()):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        self.bus.close()
        self.webhook.close()

    def fill(self, directory: Path) -> None:
        """Leave 64 kB on a file system of ours, by making it as small as what is on it."""
        for _ in range(50):
            size = shutil.disk_usage(directory).used + 65_536
            done = subprocess.run(
                ["mount", "-o", f"remount,size={size}", str(directory)], capture_output=True, check=False
            )
            if done.returncode == 0:
                return
        raise RuntimeError(f"{directory} grows faster than it can be filled")  # meanwhile more was written than is left

    def empty(self, directory: Path) -> None:
        """Give it its size back."""
        subprocess.run(["mount", "-o", f"remount,size={_SIZE}", str(directory)], check=True)

    def unmount(self) -> None:
        """Give the memory of the small file systems back; what is in them is gone."""
        for directory in self.mounted:
            subprocess.run(["umount", "-l", str(directory)], check=False)


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _mount(directory: Path) -> bool:
    """Put a file system of its own on the directory, which can be filled; only root may."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    if os.path.ismount(directory):
        return True
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(directory)], capture_output=True, check=False
    )
    return done.returncode == 0
