"""How the instance is doing: lag, rates, drops, dead letters, and whether the books balance.

`gather` reads the bus, the catalog and the heads and marks of the active segments; nothing is written and no
event is counted row by row. What cannot be read is named in `problems`, and the rest is still answered.

The books of a lane: emitted = committed + dead-lettered + dropped + in flight. What its frames say of it up
to the watermark must be in the store: the difference is the residual, 0 unless something is wrong. What a
producer counted after that is in flight while the producer lives; if it vanished, it is unaccounted since
its last report, and outside the equation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import orjson

from monitoring.pipeline.bus.streams import Streams
from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.errors import BusUnavailable, MonitoringError
from monitoring.pipeline.events.signals import LOGS, METRICS, SIGNALS
from monitoring.pipeline.store.catalog import Catalog, partition_dir, segment_path
from monitoring.pipeline.store.kinds import kind_of
from monitoring.pipeline.store.lease import peek
from monitoring.pipeline.store.metric_levels import LEVELS, files
from monitoring.pipeline.store.partition import active_number
from monitoring.pipeline.store.segment import Head, open_readonly

__all__ = ["Books", "LaneBooks", "Producer", "gather", "producers", "read_books"]

VANISHED_SECONDS = 60.0
"""A producer reports every ten seconds; one silent for a minute has vanished, or cannot reach the bus."""
MOST_PRODUCERS = 200
"""Producers listed, newest report first; the totals count all."""
_LANES_A_QUERY = 500
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class LaneBooks:
    """What the store knows of a lane."""

    committed: int
    dead_lettered: int
    missing: int
    emitted: int
    dropped: dict[str, int]

    @property
    def settled(self) -> int:
        """Events whose fate is known: stored, dead-lettered, dropped, or released into a store that is gone."""
        return self.committed + self.dead_lettered + self.missing + sum(self.dropped.values())


@dataclass(frozen=True, slots=True)
class Books:
    """What the active segment of a partition knows. `recent` counts events of the last one to two minutes."""

    number: int
    head: Head
    holder: int | None
    lanes: int
    committed: int
    dead_lettered: int
    missing: int
    emitted: int
    residual: int
    dropped: dict[str, int]
    reported: dict[str, LaneBooks]
    recent: int


@dataclass(frozen=True, slots=True)
class Producer:
    """A lane's producer as it last described itself. `state`: "live", "closed" or "vanished"."""

    lane: str
    partition: int
    state: str
    reported: int
    facts: Mapping[str, Any]
    in_flight: int
    unaccounted: int

    def document(self) -> dict[str, Any]:
        """As JSON members."""
        known = {name: self.facts[name] for name in ("service", "host", "pid") if name in self.facts}
        members: dict[str, Any] = {
            "lane": self.lane,
            "partition": self.partition,
            **known,
            "state": self.state,
            "reported": rfc3339(self.reported) if self.reported else None,
            "emitted": _count(self.facts.get("emitted")),
            "dropped": _counts(self.facts.get("dropped")),
            "in_flight": self.in_flight,
        }
        if self.state == "vanished":
            members["unaccounted"] = self.unaccounted
            members["unaccounted_since"] = members["reported"]
        return members


def gather(catalog: Catalog, streams: Streams | None, *, now_ns: int) -> dict[str, Any]:
    """The state of the instance as JSON members; see docs/api.md for each.

    Parts that are down are in `problems`; `streams` is None where no bus is known.
    """
    problems: list[str] = []
    partitions: list[dict[str, Any]] = []
    everyone: list[Producer] = []
    for signal in SIGNALS:
        sizes = _sizes(catalog, signal)
        for number in catalog.partitions(signal):
            with _noting(problems, f"{signal} partition {number}"):
                members: dict[str, Any] = {"signal": signal, "partition": number, "lag": None}
                members |= sizes[number]
                if signal == "metrics":
                    members["rollups"] = _rollups(catalog.data, number)
                partitions.append(members)
                reports: dict[str, dict[str, Any]] = {}
                with _noting(problems, "bus"):
                    if streams is None:
                        raise BusUnavailable("none is known: set MONITORING_BUS_URL or start `monitoring up`")
                    members["lag"] = _lag(streams, signal, number, now_ns)
                    reports = streams.reports(signal, number)  # before the books, which may only be fresher
                books = read_books(catalog.data, signal, number, reports, now_ns=now_ns)
                here = producers(number, reports, books, now_ns=now_ns)
                everyone += here
                if books is not None:
                    members["rows"] += books.head.rows
                    members |= _balance(books, here, now_ns)
                members["rows_deleted"] = catalog.deleted(signal, number)
    everyone.sort(key=lambda producer: -producer.reported)
    return {
        "time": rfc3339(now_ns),
        "instance": catalog.instance,
        "drains": len(catalog.drains()),
        "totals": _totals([part for part in partitions if part["signal"] == LOGS.name]),
        "metrics": _totals([part for part in partitions if part["signal"] == METRICS.name]),
        "partitions": partitions,
        "producers": [producer.document() for producer in everyone[:MOST_PRODUCERS]],
        "producers_not_listed": max(0, len(everyone) - MOST_PRODUCERS),
        "problems": [text.replace(f"{catalog.data}/", "") for text in dict.fromkeys(problems)],
    }


@contextmanager
def _noting(problems: list[str], where: str) -> Iterator[None]:
    """Put an error of this block into the answer instead of failing it."""
    try:
        yield
    except MonitoringError as error:
        problems.append(f"{where}: {error}")
    except (apsw.Error, OSError) as error:
        problems.append(f"{where}: {type(error).__name__}: {error}")


def read_books(data: Path, signal: str, partition: int, reported: Iterable[str], *, now_ns: int) -> Books | None:
    """What the active segment says, read in one transaction; None where there is no segment yet."""
    number = active_number(data, signal, partition)
    if number == 0:
        return None
    with closing(open_readonly(segment_path(data, signal, partition, number))) as connection:
        connection.execute("BEGIN")
        holder = peek(connection).holder
        lanes, committed, dead, missing, emitted, residual = connection.execute(
            "SELECT count(*), ifnull(sum(committed), 0), ifnull(sum(dead_lettered), 0), ifnull(sum(missing), 0),"
            " ifnull(sum(emitted), 0), ifnull(sum(iif(through < 0, 0, abs(through - accounted))), 0) FROM mark"
        ).get
        dropped = connection.execute(
            "SELECT key, sum(value) FROM mark, json_each(mark.dropped) WHERE mark.dropped <> '{}' GROUP BY key"
        )
        return Books(
            number=number,
            head=Head.read(connection),
            holder=holder.pid if holder else None,
            lanes=lanes,
            committed=committed,
            dead_lettered=dead,
            missing=missing,
            emitted=emitted,
            residual=residual,
            dropped=dict(dropped),
            reported=_lane_books(connection, list(reported)),
            recent=kind_of(connection, signal).received_since(connection, now_ns - 60 * _SECOND_NS),
        )


def _lane_books(connection: apsw.Connection, lanes: Sequence[str]) -> dict[str, LaneBooks]:
    found = {}
    for start in range(0, len(lanes), _LANES_A_QUERY):
        part = lanes[start : start + _LANES_A_QUERY]
        marks = ", ".join("?" * len(part))
        rows = connection.execute(
            f"SELECT lane, committed, dead_lettered, missing, emitted, dropped FROM mark WHERE lane IN ({marks})",  # noqa: S608 - question marks only
            part,
        )
        for lane, committed, dead, missing, emitted, dropped in rows:
            found[lane] = LaneBooks(committed, dead, missing, emitted, _counts(orjson.loads(dropped)))
    return found


def producers(
    partition: int, reports: Mapping[str, Mapping[str, Any]], books: Books | None, *, now_ns: int
) -> list[Producer]:
    """The producers of a partition from their last reports, beside what the store knows of their lanes."""
    found = []
    for lane, facts in reports.items():
        reported = _count(facts.get("seen"))
        known = books.reported.get(lane) if books else None
        emitted = max(_count(facts.get("emitted")), known.emitted if known else 0)
        dropped = max(sum(_counts(facts.get("dropped")).values()), sum(known.dropped.values()) if known else 0)
        settled = known.settled - sum(known.dropped.values()) + dropped if known else dropped
        open_events = max(0, emitted - settled)
        state = "live"
        if facts.get("closed") is True:
            state = "closed"
        elif now_ns - reported > VANISHED_SECONDS * _SECOND_NS:
            state = "vanished"
        vanished = state == "vanished"
        found.append(
            Producer(
                lane=lane,
                partition=partition,
                state=state,
                reported=reported,
                facts=facts,
                in_flight=0 if vanished else open_events,
                unaccounted=open_events if vanished else 0,
            )
        )
    return found


def _balance(books: Books, here: Sequence[Producer], now_ns: int) -> dict[str, Any]:
    """The equation of a partition: emitted = committed + dead-lettered + dropped + missing + in flight + unaccounted.

    In flight is what is left over; were it negative, the store would hold more than was emitted, which is as
    wrong as a lane's residual and added to it.
    """
    head = books.head
    emitted, dropped = books.emitted, Counter(books.dropped)
    for producer in here:  # what they counted after their last frame that reached the store
        known = books.reported.get(producer.lane)
        emitted += max(0, _count(producer.facts.get("emitted")) - (known.emitted if known else 0))
        later = Counter(_counts(producer.facts.get("dropped")))
        later.subtract(known.dropped if known else {})
        dropped.update(+later)
    unaccounted = sum(producer.unaccounted for producer in here)
    left = emitted - books.committed - books.dead_lettered - books.missing - dropped.total() - unaccounted
    return {
        "segment": books.number,
        "holder": books.holder,
        "events_per_second": round(books.recent / (60 + now_ns // _SECOND_NS % 60), 2),
        "lanes": books.lanes,
        "emitted": emitted + head.expired_committed + head.expired_dead,
        "committed": books.committed + head.expired_committed,
        "dead_lettered": books.dead_lettered + head.expired_dead,
        "dropped": dict(dropped),
        "missing": books.missing,
        "in_flight": max(0, left),
        "unaccounted": unaccounted,
        "residual": books.residual + max(0, -left),
    }


def _totals(partitions: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    names = ("segments", "bytes", "rows", "rows_deleted", "events_per_second", "emitted", "committed",
             "dead_lettered", "missing", "in_flight", "unaccounted", "residual")  # fmt: skip
    totals: dict[str, Any] = dict.fromkeys(names, 0)
    dropped: Counter[str] = Counter()
    lag: dict[str, Any] | None = {"frames": 0, "seconds": 0.0}
    for partition in partitions:
        for name in names:
            totals[name] += partition.get(name, 0)
        dropped.update(partition.get("dropped", {}))
        here = partition["lag"]
        if lag is None or here is None:
            lag = None  # a total with an unknown part is unknown
        else:
            lag = {"frames": lag["frames"] + here["frames"], "seconds": max(lag["seconds"], here["seconds"])}
    totals["events_per_second"] = round(totals["events_per_second"], 2)
    return {**totals, "dropped": dict(dropped), "lag": lag}


def _lag(streams: Streams, signal: str, partition: int, now_ns: int) -> dict[str, Any]:
    """Frames that wait, and the age of the oldest."""
    frames = streams.length(signal, partition)
    oldest = streams.oldest_created(signal, partition)
    seconds = max(0.0, (now_ns - oldest) / _SECOND_NS) if oldest is not None else 0.0
    return {"frames": frames, "seconds": round(seconds, 3)}


def _sizes(catalog: Catalog, signal: str) -> dict[int, dict[str, int]]:
    """Segments, bytes, and rows of sealed segments, by partition."""
    sizes = {number: {"segments": 0, "rows": 0, "bytes": 0} for number in catalog.partitions(signal)}
    for row in catalog.segments(signal):
        size = sizes[row.partition]
        size["segments"] += 1
        size["rows"] += row.rows  # of an active segment the head is asked, see gather
        size["bytes"] += row.bytes if row.sealed else _file_bytes(row.path)
    return sizes


def _rollups(data: Path, partition: int) -> dict[str, dict[str, int]]:
    """Files of each resolution and their bytes."""
    found = {}
    for level in LEVELS:
        made = files(partition_dir(data, "metrics", partition), level)
        found[level.name] = {"files": len(made), "bytes": sum(_file_bytes(each.path) for each in made)}
    return found


def _file_bytes(path: Path) -> int:
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _count(value: Any) -> int:
    """A count or time out of a report, which may come from anybody who can write; 0 for what is none."""
    return value if type(value) is int and 0 <= value < 1 << 63 else 0


def _counts(value: Any) -> dict[str, int]:
    return {str(key): _count(count) for key, count in value.items()} if isinstance(value, dict) else {}
