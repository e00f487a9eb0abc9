"""Dead letters: what could not be stored as an event, listed, shown and sent again."""

from __future__ import annotations

import contextlib
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from monitoring.pipeline.bus.frame import Columns, Frame, decode_payload, encode_payload, iter_records, seal
from monitoring.pipeline.bus.streams import Transport
from monitoring.pipeline.errors import FrameCorrupt, PermanentError
from monitoring.pipeline.events.delta import Delta
from monitoring.pipeline.events.signals import SIGNALS, Row, Signal
from monitoring.pipeline.store.catalog import Catalog, SegmentRow, segment_path
from monitoring.pipeline.store.deltas import DESCRIBES, DeltaInvalid, read_family, read_labels, read_value
from monitoring.pipeline.store.letter import DeadLetter
from monitoring.pipeline.store.segment import open_readonly

__all__ = ["KINDS", "Letter", "count", "find", "frame_events", "letters", "replay"]

KINDS = ("input", "delta", "frame", "conflict", "corrupt", "stale", "poison")
"""See DeadLetter.kind."""
_ID = re.compile(r"(?:(metrics)-)?([0-9]{1,6})-([0-9]{1,9})-([0-9]{1,18})")
_NAMESPACE = uuid.UUID("6f9f2a6e-5b1d-4f0e-9a55-6d6f6e697473")
"""Of the lanes that replay dead letters: the same letter always has the same lane, so it is stored once."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter and its public id, `<partition>-<segment>-<number>`, behind `metrics-` where it is of metrics."""

    id: str
    content: DeadLetter

    @property
    def signal(self) -> str:
        """The signal that it is of."""
        return "metrics" if self.id.startswith("metrics-") else "logs"


def count(catalog: Catalog) -> int:
    """Dead letters in all segments that are kept."""
    total = 0
    for row in _segments(catalog):
        with contextlib.suppress(FileNotFoundError), contextlib.closing(open_readonly(row.path)) as connection:
            total += connection.execute("SELECT letters FROM head").get
    return total


def letters(catalog: Catalog, *, limit: int = 100, kind: str | None = None) -> list[Letter]:
    """The newest dead letters first."""
    found: list[Letter] = []
    for row in _segments(catalog):
        with contextlib.closing(open_readonly(row.path)) as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM dead_letter WHERE ?1 IS NULL OR kind = ?1 ORDER BY id DESC LIMIT ?2",  # noqa: S608 - own names
                (kind, limit),
            )
            found += [_letter(row.signal, row.partition, row.number, values) for values in rows]
    found.sort(key=lambda letter: letter.content.created, reverse=True)
    return found[:limit]


def find(catalog: Catalog, letter_id: str) -> Letter | None:
    """One dead letter; None where there is none of that id."""
    match = _ID.fullmatch(letter_id)
    if match is None:
        return None
    signal = match[1] or "logs"
    partition, segment, number = map(int, match.groups()[1:])
    path = segment_path(catalog.data, signal, partition, segment)
    if not path.exists():
        return None
    with contextlib.closing(open_readonly(path)) as connection:
        values = connection.execute(f"SELECT {_COLUMNS} FROM dead_letter WHERE id = ?", (number,)).get  # noqa: S608 - own names
    return _letter(signal, partition, segment, values) if values else None


_COLUMNS = "id, created, kind, lane, seq, ordinal, reason, raw, source, line"


def _segments(catalog: Catalog) -> list[SegmentRow]:
    return [row for signal in SIGNALS for row in catalog.segments(signal)]


def _letter(signal: str, partition: int, segment: int, values: Sequence[Any]) -> Letter:
    where = "" if signal == "logs" else f"{signal}-"
    return Letter(f"{where}{partition}-{segment}-{values[0]}", DeadLetter(*values[1:]))


def replay(
    letter: Letter,
    transport: Transport,
    *,
    instance: str,
    parse: Callable[[bytes], Row],
    now_ns: int,
    timeout_seconds: float = 10.0,
) -> int:
    """Send a dead letter's events again and wait until they are stored; how many.

    `parse` reads the raw text of a rejected line and raises ValueError where it still cannot. Replaying the
    same letter twice stores it once: its lane is made of the letter's id. Raises PermanentError where the
    letter still cannot be understood, BusUnavailable, or TimeoutError where the store did not answer in time
    (then it is under way).
    """
    signal = SIGNALS[letter.signal]
    events = list(_events(letter.content, parse, signal))
    lane = uuid.uuid5(_NAMESPACE, f"{instance}/{letter.id}").hex
    partition = int(lane, 16) % transport.partitions(signal.name)
    frame = seal(
        lane=lane, seq=1, released_below=1, signal=signal.name, count=len(events), created=now_ns,
        counters={"emitted": len(events), "dropped": {}}, payload=encode_payload(events, signal=signal),
    )  # fmt: skip
    reply = transport.publish(signal.name, partition, lane, [frame])
    ends = time.monotonic() + timeout_seconds
    while reply.low < 1:
        if time.monotonic() > ends:
            raise TimeoutError("the events are on the bus and not stored yet: `monitoring status` shows the lag")
        time.sleep(0.05)
        reply = transport.publish(signal.name, partition, lane, [])
    return len(events)


def _events(content: DeadLetter, parse: Callable[[bytes], Row], signal: Signal) -> Iterator[Row]:
    if content.kind == "delta":
        yield _delta(content)
        return
    if content.kind == "input":
        try:
            yield parse(content.raw)
        except ValueError as error:
            raise PermanentError(f"it still cannot be understood: {error}") from error
        return
    frames = [frame for frame, _ in iter_records(content.raw)]
    if not frames:
        raise PermanentError(f"a letter of kind {content.kind} whose bytes are no frame cannot be replayed")
    for frame in frames:
        yield from frame_events(frame, signal)


def _delta(content: DeadLetter) -> Delta:
    """The delta of a letter, where this release understands it or there may be room for its metric now."""
    try:
        found = Delta(**orjson.loads(content.raw))
        if type(found.timestamp) is not int or type(found.window) is not int:
            raise DeltaInvalid("its time is none")
        family = read_family(found.family)
        read_labels(found.labels)
        if found.value != DESCRIBES:
            read_value(family, found.value)
    except (TypeError, ValueError) as error:
        raise PermanentError(f"it still makes no sense: {error}") from error
    return found


def frame_events(frame: Frame, signal: Signal) -> Iterator[Row]:
    """The events of a frame. Raises PermanentError where it cannot be decoded."""
    try:
        payload = decode_payload(frame)
    except FrameCorrupt as error:
        raise PermanentError(f"it still cannot be decoded: {error}") from error
    spread: Columns = [column if type(column) is list else [column] * payload.events for column in payload.columns]
    yield from (signal.row(*values) for values in zip(*spread, strict=True))
