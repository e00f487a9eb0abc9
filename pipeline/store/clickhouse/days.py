"""The days of a store: what retention takes is whole days of events, and what is verified is counted by day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from monitoring.pipeline.store.clickhouse.client import Client
from monitoring.pipeline.store.clickhouse.rows import DAY_NS
from monitoring.pipeline.store.clickhouse.schema import Schema

__all__ = ["Day", "DoomedDay", "Gone", "counts", "days", "disagreements", "doomed", "drop"]


@dataclass(frozen=True, slots=True)
class Day:
    """A day (since 1970) with its events, their bytes on disk, and when the last of them was received (seconds)."""

    day: int
    rows: int
    bytes: int
    received: int

    @property
    def name(self) -> str:
        """As people write it."""
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=self.day)).strftime("%Y-%m-%d")

    @property
    def last_ns(self) -> int:
        """How old it is: its end, or when the last of its events was received, whichever is later."""
        return max((self.day + 1) * DAY_NS, self.received * 10**9)


@dataclass(frozen=True, slots=True)
class DoomedDay:
    """A day that has to go, and why."""

    day: Day
    reason: str

    def describe(self) -> dict[str, Any]:
        """As JSON members."""
        facts = {"signal": "logs", "day": self.day.name, "rows": self.day.rows, "bytes": self.day.bytes}
        return {**facts, "reason": self.reason}


class Gone(NamedTuple):
    """The days of which retention has taken events: those up to one by their age, and some for their size."""

    through: int
    dropped: Set[int]

    def may_lack(self, day: int) -> bool:
        """Whether events of a day may be gone."""
        return day <= self.through or day in self.dropped


def days(client: Client, schema: Schema) -> list[Day]:
    """The days that there are, the oldest first."""
    sizes = dict(
        client.rows(
            f"SELECT toInt64(partition), sum(bytes_on_disk) FROM {_parts(schema)} WHERE active AND table = {{t:String}}"  # noqa: S608 - own names
            " AND database = currentDatabase() GROUP BY partition",
            {"t": schema.local},
        )
    )
    day = f"intDiv(time, {DAY_NS})"
    found = client.rows(f"SELECT {day} AS day, count(), max(received) FROM log GROUP BY day ORDER BY day")  # noqa: S608 - a number
    return [Day(day, rows, int(sizes.get(day, 0)), received) for day, rows, received in found]


def _parts(schema: Schema) -> str:
    return f"cluster('{schema.cluster}', system.parts)" if schema.cluster else "system.parts"


def doomed(found: Sequence[Day], *, now_ns: int, max_age_seconds: float, max_bytes: int) -> list[DoomedDay]:
    """The days beyond the age or, oldest first, beyond the total size (0: no limit). Pure."""
    going = []
    if max_age_seconds > 0:
        oldest = now_ns - int(max_age_seconds * 1e9)
        reason = f"older than {max_age_seconds / 86_400:g} days"
        going = [DoomedDay(day, reason) for day in found if day.last_ns < oldest]
    if max_bytes > 0:
        gone = {item.day.day for item in going}
        kept = [day for day in found if day.day not in gone]
        total = sum(day.bytes for day in kept)
        for day in kept[:-1]:  # what is written now stays
            if total <= max_bytes:
                break
            going.append(DoomedDay(day, f"all days together are over {max_bytes >> 20} MiB"))
            total -= day.bytes
    return going


def drop(client: Client, schema: Schema, going: Sequence[DoomedDay]) -> int:
    """Delete these days; how many bytes that frees."""
    for item in going:
        client.command(f"ALTER TABLE {schema.local}{schema.everywhere} DROP PARTITION {item.day.day:d}")
    return sum(item.day.bytes for item in going)


def counts(client: Client) -> dict[int, Counter[int]]:
    """The events of each partition by day."""
    query = f"SELECT partition, intDiv(time, {DAY_NS}) AS day, count() FROM log GROUP BY partition, day"  # noqa: S608 - a number
    found: dict[int, Counter[int]] = {}
    for partition, day, rows in client.rows(query):
        found.setdefault(partition, Counter())[day] = rows
    return found


def disagreements(
    partition: int, committed: Mapping[int, int], there: Mapping[int, int], waiting: Mapping[int, int], *, gone: Gone
) -> list[str]:
    """What the server has otherwise than was committed, by day.

    `waiting` is committed and not sent yet, and may be there all the same.
    """
    findings = []
    for day in sorted({*committed, *there}):
        most, found = committed.get(day, 0), there.get(day, 0)
        least = 0 if gone.may_lack(day) else most - waiting.get(day, 0)
        if not least <= found <= most:
            name = Day(day, 0, 0, 0).name
            findings.append(f"partition {partition}, {name}: the server has {found} events, {most} were committed")
    return findings
