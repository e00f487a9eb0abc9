"""What so many events a second need, on paper: partitions, drains, servers of the bus and of the store, disk a day.

python -m bench.sizing            the tables of docs/sizing.md

Pure arithmetic over figures that were measured (see `MEASURED`) and assumptions that were not (see `ASSUMED`), and a
simulation of lag, second by second, that shows whether what the arithmetic says holds when something fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

__all__ = ["ASSUMED", "LOADS", "MEASURED", "Failure", "Lag", "Need", "Store", "need", "simulate", "tables"]

MEASURED: Mapping[str, tuple[float, str]] = {
    "drain_us": (11.3, "CPU microseconds an event in a drain on SQLite, the higher of three runs: README, 2 drains"),
    "bus_us": (0.7, "CPU microseconds an event in the bus: README, 2 drains"),
    "publisher_us": (2.4, "CPU microseconds an event in the service that sends it: README, 2 drains"),
    "drain_events_per_second": (60_000, "of one drain, below the lowest of three runs with 1 and 2 drains: README"),
    "sqlite_bytes": (434, "bytes of disk an event, index included, the highest: README"),
    "frame_bytes": (277, "bytes an event on the bus, in frames of 1,000"),
    "takeover_seconds": (8.3, "until the partitions of a drain that stands still are drained: `make bench-scale`"),
}
"""Events of 338 bytes with four attributes and unique trace ids."""

ASSUMED: Mapping[str, tuple[float, str]] = {
    "usage": (0.5, "part of a CPU or server that is used at the mean: the rest is for peaks, and to catch up"),
    "peak": (2.0, "the busiest minutes, to the mean"),
    "outage_seconds": (600, "of all drains, that the bus must hold: half of maxmemory is for it"),
    "bus_memory_gb": (16, "maxmemory of one server of the bus"),
    "bus_events_per_second": (500_000, "of one server: 0.7 us are 1.4 million a core, and frames are not all full"),
    "host_cores": (32, "of the host of the drains"),
    "clickhouse_events_per_second": (200_000, "taken in by one server while it is searched; not measured by us"),
    "clickhouse_bytes": (100, "of disk an event, compressed, text index included; not measured by us"),
    "clickhouse_drain": (
        1.0,
        "what a drain costs that writes to ClickHouse, to one that writes to SQLite; not measured",
    ),
    "failover_seconds": (20, "until a replica of the bus has taken over: cluster-node-timeout 15 s, and the vote"),
    "replicas": (2, "copies of the bus's and of ClickHouse's data, from the load on where one server would not do"),
}

LOADS = (10_000, 100_000, 1_000_000)
_DAY_SECONDS = 86_400
_SQLITE_DRAINS = 8
"""Drains that one host's disk and page cache were seen to feed; beyond it is another store's work."""


def measured(name: str) -> float:
    """A figure that was measured."""
    return MEASURED[name][0]


def assumed(name: str) -> float:
    """A figure that was not."""
    return ASSUMED[name][0]


@dataclass(frozen=True, slots=True)
class Store:
    """Where events lie: servers beside the drains, and bytes of disk a day on all of them."""

    name: str
    servers: int
    disk_bytes_a_day: float


@dataclass(frozen=True, slots=True)
class Need:
    """What a mean load needs. `drains` at the mean usage assumed; `bus_servers` with their replicas."""

    events_per_second: int
    partitions: int
    drains: int
    drain_cores: float
    hosts: int
    bus_primaries: int
    bus_servers: int
    bus_backlog_bytes: float
    store: Store


def need(events_per_second: int) -> Need:
    """What so many events a second, at the mean, need. Raises ValueError for none."""
    if events_per_second <= 0:
        raise ValueError("a load is above 0 events a second")
    per_drain = measured("drain_events_per_second")
    drains = max(2, math.ceil(events_per_second / (per_drain * assumed("usage"))))
    cores = events_per_second * measured("drain_us") / 1e6
    if drains > _SQLITE_DRAINS:
        cores *= assumed("clickhouse_drain")
    backlog = events_per_second * assumed("outage_seconds") * measured("frame_bytes")
    primaries = _primaries(events_per_second, backlog)
    return Need(
        events_per_second=events_per_second,
        partitions=_power_of_two(2 * drains),
        drains=drains,
        drain_cores=cores,
        hosts=max(1, math.ceil(cores / (assumed("host_cores") * assumed("usage")))),
        bus_primaries=primaries,
        bus_servers=primaries if primaries == 1 else primaries * int(assumed("replicas")),
        bus_backlog_bytes=backlog,
        store=_store(events_per_second, drains),
    )


def _primaries(events_per_second: int, backlog_bytes: float) -> int:
    """By speed at the peak, and by memory for what an outage leaves; a cluster has at least three."""
    speed = events_per_second * assumed("peak") / assumed("bus_events_per_second")
    memory = backlog_bytes / (assumed("bus_memory_gb") * 1e9 / 2)
    servers = math.ceil(max(speed, memory))
    return servers if servers <= 1 else max(3, servers)


def _store(events_per_second: int, drains: int) -> Store:
    daily = events_per_second * _DAY_SECONDS
    if drains <= _SQLITE_DRAINS:
        return Store("SQLite", 0, daily * measured("sqlite_bytes"))
    shards = math.ceil(events_per_second / (assumed("clickhouse_events_per_second") * assumed("usage")))
    copies = int(assumed("replicas"))
    return Store("ClickHouse", shards * copies, daily * assumed("clickhouse_bytes") * copies)


def _power_of_two(least: int) -> int:
    """So that any even number of drains has fair shares."""
    return 1 << math.ceil(math.log2(max(2, least)))


# ---------------------------------------------------------------------- what happens when something fails


@dataclass(frozen=True, slots=True)
class Failure:
    """From second `at` on for `seconds`: so many drains do nothing, so many servers of the bus are away.

    The partitions of a drain that died wait until another one has taken them over; those of a server that is away wait
    until it is back or its replica in its place: what is sent meanwhile waits with those who send it.
    """

    at: int
    seconds: int
    drains: int = 0
    bus_servers: int = 0


@dataclass(frozen=True, slots=True)
class Lag:
    """What came of it: the longest wait of an event, the most bytes that waited, and when all was well again.

    `recovered_after_seconds` counts from the end of the last failure or change of load; None: not within the time.
    """

    most_seconds: float
    most_bytes: float
    recovered_after_seconds: float | None


def simulate(
    needed: Need, failures: Iterable[Failure] = (), *, load: Mapping[int, float] | None = None, seconds: int = 7200
) -> Lag:
    """Partition by partition and second by second: what arrives, what its drain writes, what waits. Pure.

    `load` gives factors of the mean from a second on: {0: 1.0, 600: 2.0}. All partitions get as many events, and a
    drain divides its seconds among its partitions by what waits in each. Ends when all is well again: when less than
    two seconds' events wait in every partition.
    """
    faults, changes = list(failures), sorted((load or {0: 1.0}).items())
    settled = max([at for at, _ in changes] + [fault.at + fault.seconds for fault in faults])
    waiting = [0.0] * needed.partitions
    longest = most = total = 0.0
    for second in range(seconds):
        factor = next((factor for at, factor in reversed(changes) if at <= second), 1.0)
        arriving = needed.events_per_second * factor / needed.partitions
        for number in range(needed.partitions):
            waiting[number] += arriving
        for held in _assigned(needed, faults, second):
            _drain(waiting, held)
        longest = max(longest, max(waiting) / arriving)
        before, total = total, sum(waiting)
        most = max(most, total)
        if second >= settled and max(waiting) < 2 * arriving and total <= before + 1e-6:
            return Lag(longest, most * measured("frame_bytes"), float(second - settled))
    return Lag(longest, most * measured("frame_bytes"), None)


def _assigned(needed: Need, faults: Iterable[Failure], second: int) -> list[list[int]]:
    """The partitions that each drain at work writes in this second."""
    now = [fault for fault in faults if fault.at <= second < fault.at + fault.seconds]
    dead = max((fault.drains for fault in now), default=0)
    away = max((fault.bus_servers for fault in now), default=0)
    taken_over = all(second >= fault.at + measured("takeover_seconds") for fault in now if fault.drains)
    drains = needed.drains if dead == 0 or not taken_over else needed.drains - dead
    if drains <= 0:
        return []
    held: list[list[int]] = [[] for _ in range(drains)]
    for number in range(needed.partitions):
        if number % needed.bus_primaries >= away:
            held[number % drains].append(number)
    return held[: needed.drains - dead] if dead and not taken_over else held


def _drain(waiting: list[float], held: list[int]) -> None:
    """One second of a drain."""
    total = sum(waiting[number] for number in held)
    left = max(0.0, 1 - measured("drain_events_per_second") / total) if total else 0.0
    for number in held:
        waiting[number] *= left


def scenarios(needed: Need) -> dict[str, Lag]:
    """What an operator would ask of a size: each begins after a minute."""
    ten_minutes = 600
    return {
        "nothing fails": simulate(needed, seconds=60),
        "one drain dies": simulate(needed, [Failure(60, 60, drains=1)]),
        "half of the drains are gone for 10 minutes": simulate(
            needed, [Failure(60, ten_minutes, drains=needed.drains // 2)]
        ),
        "a server of the bus fails over": simulate(
            needed, [Failure(60, int(assumed("failover_seconds")), bus_servers=1)]
        ),
        "nothing is drained for 10 minutes": simulate(
            needed, [Failure(60, int(assumed("outage_seconds")), drains=needed.drains)]
        ),
        "the load doubles for 10 minutes": simulate(needed, load={0: 1.0, 60: assumed("peak"), 60 + ten_minutes: 1.0}),
    }


# ---------------------------------------------------------------------- as the page shows it


def tables() -> str:
    """The generated part of docs/sizing.md."""
    needs = [need(load) for load in LOADS]
    rows: dict[str, Callable[[Need], str]] = {
        "partitions": lambda n: f"{n.partitions}",
        "drains (`MONITORING_WORKERS` or `worker --processes`)": lambda n: f"{n.drains}",
        "cores that the drains keep busy": lambda n: f"{n.drain_cores:.1f}",
        "hosts of 32 cores for them (all drains of an instance are on one)": lambda n: f"{n.hosts}",
        "servers of the bus, replicas included": _bus,
        "memory for 10 minutes without drains": lambda n: f"{n.bus_backlog_bytes / 1e9:.1f} GB",
        "store": lambda n: n.store.name,
        "servers of the store, replicas included": lambda n: f"{n.store.servers}" if n.store.servers else "none",
        "disk a day": lambda n: _disk(n.store.disk_bytes_a_day),
    }
    lines = ["| events/s | " + " | ".join(f"{n.events_per_second:,}" for n in needs) + " |", "|---" + "|--:" * 3 + "|"]
    lines += [f"| {name} | " + " | ".join(cell(n) for n in needs) + " |" for name, cell in rows.items()]
    lines += ["", "| longest wait; until all is well again | " + " | ".join(f"{load:,}" for load in LOADS) + " |"]
    lines += ["|---" + "|--:" * 3 + "|"]
    found = [scenarios(n) for n in needs]
    lines += [f"| {name} | " + " | ".join(_lag(each[name]) for each in found) + " |" for name in found[0]]
    lines += ["", "| measured | | |", "|---|--:|---|", *_figures(MEASURED)]
    lines += ["", "| assumed | | |", "|---|--:|---|", *_figures(ASSUMED)]
    return "\n".join(lines) + "\n"


def _figures(table: Mapping[str, tuple[float, str]]) -> list[str]:
    return [f"| {name} | {value:,g} | {why} |" for name, (value, why) in table.items()]


def _bus(needed: Need) -> str:
    return "1" if needed.bus_servers == 1 else f"{needed.bus_servers} ({needed.bus_primaries} primaries)"


def _disk(size: float) -> str:
    return f"{size / 1e12:.1f} TB" if size >= 1e12 else f"{size / 1e9:.0f} GB"


def _lag(lag: Lag) -> str:
    after = "never" if lag.recovered_after_seconds is None else _time(lag.recovered_after_seconds)
    return f"{_time(lag.most_seconds)}; {after}"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


if __name__ == "__main__":
    print(tables(), end="")
