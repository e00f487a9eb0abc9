"""The drain: from the streams into the store.

    lease -> read -> admit -> write -> settle -> ship  (Drain._batch shows the way of a batch)

read    entries of the streams, from the start: what is committed is deleted, so the start is what is left
admit   marks sort out what is new, seen before, in conflict or broken
write   one transaction: rows, what is derived of them, dead letters, marks
settle  delete exactly these entries, publish the lanes' watermarks
ship    send on the metrics that were derived of logs in that transaction, as a producer of metrics

Dying between any two steps loses and doubles nothing: what is not committed is read again, what is committed
but not deleted is recognised by its mark.

Each signal has streams of its own, and a drain has its fair share of each. Metrics come first in every round, and a
round writes at most one read of each partition, so a flood of logs delays an alert by that much and no more. With
MONITORING_DRAIN_RATE a partition of logs that has written its share is passed over until it is due; metrics never are.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from monitoring.consumers import poison, stop
from monitoring.consumers.pace import Pace
from monitoring.pipeline import failpoint, jobs
from monitoring.pipeline.bus.embedded import locate_queue
from monitoring.pipeline.bus.streams import Entry, Streams, StreamTransport, connect, stream_key
from monitoring.pipeline.bus.tally import Tally
from monitoring.pipeline.derived.shipping import Shipper
from monitoring.pipeline.errors import (
    BusFull,
    BusRefused,
    BusUnavailable,
    Fenced,
    RetryableError,
    StoreCorrupt,
    StoreFull,
)
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.batch import Batch
from monitoring.pipeline.store.derived_metrics import InForce
from monitoring.pipeline.store.interface import LogStore, Store, Writer
from monitoring.pipeline.store.lease import RENEW_SECONDS, Holder, LeaseBlocked
from monitoring.pipeline.store.logs import open_logs
from monitoring.pipeline.store.metrics import open_metrics

__all__ = ["Drain", "run"]

_log = logging.getLogger("monitoring.drain")

METRICS = "metrics"
BALANCE_SECONDS = 1.0
"""How often a drain says that it lives and compares what it holds with its fair share."""
REWIND_SECONDS = 10.0
"""How long entries that had to wait are passed over before they are looked at again."""
LINGER_SECONDS = 0.1
"""Least time between two small commits: many producers with a few events each would else cost an fsync apiece."""
BLOCK_MS = 1000
"""Longest wait for an entry: as long as a drain may take to notice that it should stop."""
_MOST_ENTRIES = 1000
READ_BYTES = 16 << 20
"""Most bytes to read at a time, by the average entry so far."""
AWAY_SECONDS = 2.0
"""How long a server of a cluster that did not answer is left alone: what hangs costs its time-out at each attempt."""
ASIDE_SECONDS = 30.0
"""How often a partition is tried whose file is damaged."""
CALM_SECONDS = 2 * BALANCE_SECONDS
"""So long without trouble means that it is over: some is met again only when partitions are taken."""
IDLE_SECONDS = 5.0
"""A drain that holds nothing for so long ends; the ticker starts another when there is something to hold."""


def run(chosen: Settings) -> dict[str, int]:
    """The job: drain for a slice, then enqueue the successor; where the bus is too full for that, go on.

    Returns what was done, for RQ's record: frames, events, dead letters, replays.
    """
    failpoint.arm(chosen.path("failpoint_dir"))
    drain = Drain(chosen)
    try:
        _go_on(drain)
    except BaseException:
        drain.abandon()  # what it was doing may be what killed it: the next holder goes one frame at a time
        raise
    drain.close()
    return drain.done


def _go_on(drain: Drain) -> None:
    """Slices in this job until a successor is enqueued, a stop requested, or nothing left to hold."""
    while drain.run() and not stop.requested():
        try:
            jobs.enqueue(drain.queue, jobs.DRAIN)
        except (BusFull, BusUnavailable) as error:
            _log.warning("cannot enqueue the next drain, going on in this one: %s", error)
        else:
            return


@dataclass(slots=True)
class Held:
    """A partition in hand. `cursor` is "0-0" but for a while after entries had to wait."""

    partition: Writer
    cursor: str = "0-0"
    rewind_at: float = 0.0
    away_until: float = 0.0
    cautious: int = 0
    committed_at: float = field(default_factory=time.monotonic)
    unpublished: dict[str, int] = field(default_factory=dict)
    shipper: Shipper = field(init=False)

    def __post_init__(self) -> None:
        self.shipper = Shipper(lambda: self.partition.deriving)


class Drain:
    """Holds its fair share of each signal's partitions and drains them. Not shared between threads or forks."""

    def __init__(self, chosen: Settings, *, me: Holder | None = None) -> None:
        self.streams = Streams(connect(chosen.text("bus_url")))
        carrier = locate_queue(chosen)
        self.queue = self.streams.client if carrier == chosen.text("bus_url") else connect(carrier)
        self._transport = StreamTransport(self.streams.client, stream_length=chosen.whole("stream_length"))
        self._tally = Tally(lambda: self.queue)
        self._store: LogStore = open_logs(chosen)
        self._stores: dict[str, Store] = {METRICS: open_metrics(chosen), "logs": self._store}
        self._derived = InForce(chosen)
        self.done = {"frames": 0, "events": 0, "dead_letters": 0, "replayed": 0}
        self._me = me or Holder.this_process()
        self._slice_seconds = chosen.number("drain_slice")
        self._pace = Pace(chosen.whole("drain_rate"))
        self._batch_events = min(chosen.whole("batch_events"), self._pace.rate or 1 << 62)  # a second's work at most
        self._held: dict[str, Held] = {}
        self._count = 16
        self._metrics_count = _MOST_ENTRIES
        self._balanced_at = float("-inf")
        self._useful_at = time.monotonic()
        self._aside: dict[str, float] = {}
        self._trouble: str | None = None
        self._troubled_at = 0.0

    @property
    def holding(self) -> list[int]:
        """Numbers of the log partitions in hand."""
        return [held.partition.number for held in self._held.values() if held.partition.signal == "logs"]

    def run(self, slice_seconds: float | None = None) -> bool:
        """Drain until the slice is over or a stop is requested; False where there was nothing to hold."""
        ends = time.monotonic() + (self._slice_seconds if slice_seconds is None else slice_seconds)
        backoff = 0.1
        while time.monotonic() < ends and not stop.requested():
            try:
                self.step()
                if time.monotonic() - self._useful_at > IDLE_SECONDS:
                    return False
                backoff = 0.1
                self._recovered()
            except Fenced as error:
                _log.warning("lost a partition: %s", error)
                self._drop_fenced()
            except RetryableError as error:
                self._say_trouble(error)
                stop.wait(backoff)
                backoff = min(backoff * 2, 2.0)
        return True

    def step(self) -> None:
        """Once around: see to the fair share, then read and write what there is."""
        self._balance()
        if self._held:
            self._useful_at = time.monotonic()
            self._cycle()
        else:
            stop.wait(0.2)

    def close(self) -> None:
        """Release every lease; what is committed stays, what is not is read again by the next drain."""
        leaving: list[Callable[[], None]] = [held.partition.release for held in self._held.values()]
        leaving.append(partial(self._store.leave, self._me))
        for leave in leaving:
            try:
                leave()
            except (Fenced, StoreCorrupt, StoreFull) as error:
                _log.warning("%s", error)  # the lease ends by itself
        self._end()

    def abandon(self) -> None:
        """Let go of everything as if this process had died: no lease is released."""
        for held in self._held.values():
            held.partition.abandon()
        self._end()

    def _end(self) -> None:
        self._held.clear()
        for store in self._stores.values():
            store.close()
        self._derived.close()
        self.streams.close()
        self.queue.close()

    # ------------------------------------------------------------------ which partitions

    def _balance(self) -> None:
        now = time.monotonic()
        if now - self._balanced_at < BALANCE_SECONDS:
            return
        self._balanced_at = now
        self._define()
        drains = self._store.attend(self._me)
        for signal, store in self._stores.items():
            self._share(signal, store.partitions(), drains, now)

    def _define(self) -> None:
        """See whether other metrics are to be derived than before."""
        try:
            if not self._derived.changed():
                return
        except (RetryableError, StoreCorrupt) as error:  # what was in force stays so
            self._say_trouble(error)
            return
        for held in self._held.values():
            held.partition.derive(self._derived.definitions)

    def _share(self, signal: str, numbers: list[int], drains: int, now: float) -> None:
        """Let go of what is beyond the fair share of these partitions, or take what is missing of it."""
        fair = math.ceil(len(numbers) / max(1, drains))
        mine = [key for key, held in self._held.items() if held.partition.signal == signal]
        for key in mine[fair:][::-1]:
            held = self._held.pop(key)
            held.partition.release()
            _log.info("released %s: %d drains share %d", key, drains, len(numbers))
        missing = fair - len(mine)
        for number in numbers:
            key = stream_key(signal, number)
            if missing > 0 and key not in self._held and now >= self._aside.get(key, 0.0):
                self._acquire(key, signal, number)
                missing -= key in self._held

    def _acquire(self, key: str, signal: str, number: int) -> None:
        try:
            partition = self._stores[signal].acquire(number, self._me)
        except (LeaseBlocked, StoreFull) as error:  # perhaps of this partition alone
            self._say_trouble(error)
            return
        except StoreCorrupt as error:
            self._set_aside(key, error)
            return
        if partition is not None:
            partition.derive(self._derived.definitions)
            self._held[key] = Held(partition, cautious=0 if partition.clean else self._count)
            self._held[key].shipper.begin()
            self._held = dict(sorted(self._held.items(), key=lambda pair: pair[1].partition.signal != METRICS))
            level = logging.DEBUG if partition.clean else logging.INFO  # each slice takes its partitions anew
            facts = " ".join(f"{name} {value}" for name, value in partition.facts().items())
            _log.log(level, "holding %s%s", facts, "" if partition.clean else ", its last holder vanished")

    def _drop_fenced(self) -> None:
        for key, held in list(self._held.items()):
            try:
                held.partition.renew()
            except (Fenced, RetryableError):
                held.partition.abandon()
                del self._held[key]

    # ------------------------------------------------------------------ the way of a batch

    def _cycle(self) -> None:
        """One read over all partitions in hand, and a batch for each that has something."""
        count = min(self._count, self._metrics_count)
        found = self._read(count)
        failed: RetryableError | None = None
        for key, held in list(self._held.items()):
            try:
                self._tend(held, found.get(key, []))
            except StoreFull as error:  # perhaps of this partition's file alone: first the others
                failed = failed or error
            except BusUnavailable as error:
                if not self.streams.spread:
                    raise
                failed = failed or error  # of this partition's server alone
                held.away_until = time.monotonic() + AWAY_SECONDS
                stop.requested()  # to wait for a server that hangs is not to hang
            except StoreCorrupt as error:
                held.partition.abandon()
                del self._held[key]
                self._set_aside(key, error)
        if failed is not None:
            raise failed
        if found and all(len(entries) < count for entries in found.values()):
            stop.wait(LINGER_SECONDS)

    def _read(self, count: int) -> dict[str, list[Entry]]:
        """So many entries of each partition that is due."""
        waits = {key: self._pace.wait(key) for key in self._held}
        later = min((seconds for seconds in waits.values() if seconds), default=math.inf)
        cursors = {key: held.cursor for key, held in self._held.items() if not waits[key]}
        if cursors:
            block_ms = max(1, min(BLOCK_MS, later * 1000))  # 0 were for ever
            return self.streams.read(cursors, count=count, block_ms=int(block_ms))
        stop.wait(min(BLOCK_MS / 1000, later))
        return {}

    def _tend(self, held: Held, entries: list[Entry]) -> None:
        if not entries:
            self._idle(held)
        key = stream_key(held.partition.signal, held.partition.number)
        for portion in _portions(entries, self._batch_events):
            if self._pace.wait(key):
                return  # the rest is read again
            self._batch(held, portion)

    def _set_aside(self, key: str, error: StoreCorrupt) -> None:
        """A damaged partition must not hold up the others; somebody may repair it."""
        _log.error("%s is not drained: %s", key, error)
        self._aside[key] = time.monotonic() + ASIDE_SECONDS

    def _batch(self, held: Held, entries: list[Entry]) -> None:
        failpoint.hit("drain.read")
        partition = held.partition
        ordinary = poison.before_suspects(partition, entries) if held.cautious == 0 else []
        if not ordinary:
            entries = entries[:1]
            held.cautious = max(0, held.cautious - 1)
            batch = poison.write_alone(partition, entries[0])
        else:
            entries = ordinary
            batch = partition.admit(entries)
            partition.set_load(heavy=len(batch.rows) * 2 >= self._batch_events)
            began = time.perf_counter()
            partition.write(batch)
            self._tally.observe(f"commit|{partition.signal}", time.perf_counter() - began)
        failpoint.hit("drain.committed")
        held.committed_at = time.monotonic()
        self._settle(held, batch)
        self._ship(held)
        self._look_ahead(held, entries, batch)
        self._account(partition.signal, entries, batch)
        if partition.signal != METRICS:
            key = stream_key(partition.signal, partition.number)
            self._pace.wrote(key, len(batch.rows), len(self.holding))
        partition.tidy()
        partition.roll_over_if_due()

    def _settle(self, held: Held, batch: Batch) -> None:
        held.unpublished.update(batch.lows)
        failpoint.hit("drain.settle")
        self.streams.settle(held.partition.signal, held.partition.number, batch.settled, held.unpublished)
        held.unpublished.clear()

    def _ship(self, held: Held) -> None:
        """Send on what was derived from logs. A bus that does not take it now holds up nothing else."""
        try:
            held.shipper.pump(lambda: self._transport, time.monotonic())
        except (BusFull, BusUnavailable, BusRefused) as error:
            self._say_trouble(error)

    def _look_ahead(self, held: Held, entries: list[Entry], batch: Batch) -> None:
        """Pass over entries that must wait, for a while, so that those behind them are reached."""
        if batch.deferred and held.cursor == "0-0":
            held.rewind_at = time.monotonic() + REWIND_SECONDS
        if batch.deferred or held.cursor != "0-0":
            held.cursor = entries[-1].id
        if time.monotonic() >= held.rewind_at:
            held.cursor = "0-0"

    def _idle(self, held: Held) -> None:
        self._ship(held)
        held.partition.tidy()
        if time.monotonic() >= held.rewind_at:
            held.cursor = "0-0"
        if time.monotonic() - held.committed_at >= RENEW_SECONDS:
            held.partition.renew()
            held.committed_at = time.monotonic()
            held.partition.set_load(heavy=False)
            held.partition.roll_over_if_due()
        if held.unpublished and time.monotonic() >= held.away_until:
            self._settle(held, Batch())

    def _account(self, signal: str, entries: list[Entry], batch: Batch) -> None:
        """Count what was done, and aim the next read at one full commit."""
        done = self.done
        done["frames"] += batch.frames
        done["events"] += len(batch.rows)
        done["dead_letters"] += len(batch.letters)
        done["replayed"] += batch.replayed
        if batch.frames:
            events = max(1.0, (len(batch.rows) + len(batch.letters)) / batch.frames)
            size = max(1.0, sum(len(entry.fields.get(b"payload", b"")) for entry in entries) / len(entries))
            most = min(_MOST_ENTRIES, READ_BYTES / size)
            if signal == METRICS:  # by bytes alone: few large frames of metrics must not make the commits of logs small
                self._metrics_count = int(max(1, most))
            else:
                self._count = int(max(1, min(most, self._batch_events / events)))

    # ------------------------------------------------------------------ troubles, each said once

    def _say_trouble(self, error: Exception) -> None:
        text = str(error)
        self._troubled_at = time.monotonic()
        if text != self._trouble:
            _log.warning("waiting: %s", text)
            self._trouble = text

    def _recovered(self) -> None:
        if self._trouble is not None and time.monotonic() - self._troubled_at > CALM_SECONDS:
            _log.info("going on")
            self._trouble = None


def _portions(entries: list[Entry], most_events: int) -> Iterator[list[Entry]]:
    """The entries in portions of at most so many events, by what the frames say of themselves; at least one each.

    Frames grow while the bus is slow, and what a commit holds in memory grows with its events.
    """
    portion: list[Entry] = []
    events = 0
    for entry in entries:
        count = entry.fields.get(b"count", b"")
        announced = int(count) if count.isdigit() and len(count) < 9 else 0
        if portion and events + announced > most_events:
            yield portion
            portion, events = [], 0
        portion.append(entry)
        events += announced
    if portion:
        yield portion
