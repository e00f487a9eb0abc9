"""Deltas and their frames for tests, and what a metric store holds, read with plain SQL."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import orjson

from monitoring.pipeline.bus.frame import Frame, encode_payload
from monitoring.pipeline.events.delta import Delta, family_text
from monitoring.pipeline.events.event import Rejected
from monitoring.pipeline.events.signals import METRICS
from monitoring.pipeline.store.metric_codec import Codec
from monitoring.pipeline.store.metric_pack import PACK, has_packed
from monitoring.pipeline.store.segment import open_readonly
from tests.frames import T0, Sender

SECOND = 10**9
ORIGIN = {"service": "shop", "environment": "test", "release": "1", "host": "h1"}
COUNTER = family_text(name="orders", kind="counter", help="Orders.")
SIZES = family_text(name="sizes", kind="histogram", bounds=(1.0, 2.0, 5.0))
T = T0 // (300 * SECOND) * 300 * SECOND
"""The end of a window and of a block."""


_NAMED = "JOIN series ON series = series.id JOIN family ON family = family.id"


def delta(value: Any, *, family: str = COUNTER, at: int = T, window: int = 10 * SECOND, **labels: str) -> Delta:
    """A delta of this value that ends `at`."""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return Delta(at, window, **ORIGIN, family=family, labels=orjson.dumps(labels).decode(), value=text)


TOTAL = family_text(name="requests", kind="counter", cumulative=True)
TOTAL_SIZES = family_text(name="bytes", kind="histogram", bounds=(1.0, 2.0, 5.0), cumulative=True)


def total(value: Any, at: int, *, start: int = T, stream: str = "", family: str = "", **labels: str) -> Delta:
    """A cumulative point, of counts where the value is a list; times in seconds from T, a start of 0 is unknown."""
    counts = value if isinstance(value, list) else None
    members = {"value": value} if counts is None else {"sum": sum(counts), "counts": counts}
    family = family or (TOTAL if counts is None else TOTAL_SIZES)
    return delta({"start": start, "stream": stream, **members}, family=family, at=T + at * SECOND, window=0, **labels)


def sample(value: Any, at: int, **labels: str) -> Delta:
    """A sample as Prometheus sends it, so many seconds from T."""
    family = family_text(name=labels.pop("name", "up"), kind="sample", type="gauge")
    return Delta(
        T + at * SECOND, 0, "", family=family, labels=orjson.dumps(labels).decode(), value=orjson.dumps(value).decode()
    )


def gauge(across: Any = None) -> str:
    """The family of a gauge."""
    return family_text(name=f"gauge_{across}", kind="gauge", across=across)


def frame(sender: Sender, deltas: Sequence[Delta], rejected: Sequence[Rejected] = (), **changes: Any) -> Frame:
    """The next frame of a lane of metrics."""
    payload = encode_payload(deltas, rejected, METRICS)
    return sender.frame(deltas, rejected, **{"signal": "metrics", "payload": payload, **changes})


def connections(data: Path) -> Iterator[apsw.Connection]:
    """Each segment of metrics, the oldest first."""
    for path in sorted((data / "metrics" / "p0").glob("[0-9]*.db")):
        with contextlib.closing(open_readonly(path)) as connection:
            yield connection


def _packed(connection: apsw.Connection, column: str) -> list[tuple[str, tuple[int, Any]]]:
    """The packed rows of a segment, each with the name of its family, its number and this column."""
    if not has_packed(connection):
        return []
    points = f"(SELECT id, id >> 24 & 1048575 AS series, {column} AS wanted FROM packed)"
    rows = connection.execute(f"SELECT family.name, points.id, wanted FROM {points} AS points {_NAMED}")
    return [(name, (number, wanted)) for name, number, wanted in rows]


def totals(data: Path) -> dict[str, int | float]:
    """The sum of every counter, of the observations and the sum of every histogram, over all segments."""
    found: Counter[str] = Counter()
    for connection in connections(data):
        for name, value in connection.execute(f"SELECT family.name, value FROM increment {_NAMED}"):
            found[name] += value
        for name, total, counts in connection.execute(f"SELECT family.name, sum, counts FROM histogram {_NAMED}"):
            found[f"{name}_sum"] += total
            found[f"{name}_count"] += sum(orjson.loads(counts))
        for name, row in _packed(connection, "total"):
            if isinstance(row[1], str):
                *counts, total = orjson.loads(row[1])
                found[f"{name}_sum"] += total
                found[f"{name}_count"] += sum(counts)
            elif row[1] is not None:
                found[name] += row[1]
    return dict(found)


def windows(data: Path, name: str = "orders") -> dict[int, int | float]:
    """What a counter gained in each window, by seconds from T to the window's start."""
    found: Counter[int] = Counter()
    for connection in connections(data):
        query = f"SELECT (block * 30 + slot) * 10, value FROM increment {_NAMED} WHERE family.name = ?"
        for start, value in connection.execute(query, (name,)):
            found[start - T // SECOND] += value
        for title, (number, packed) in _packed(connection, "data"):
            places, (values, *_) = Codec().decode(packed)
            for place, value in zip(places.tolist(), values[0].tolist(), strict=True):
                if title == name:
                    found[((number >> 44) * PACK + place) * 10 - T // SECOND] += value
    return dict(found)
