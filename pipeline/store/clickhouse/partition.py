"""A partition whose rows lie on ClickHouse: a ledger here, and the way of its inserts to the server.

    admit   first what is committed and not sent
    write   commit to the ledger -> insert -> (with the next commit) forget the insert

What `write` commits is safe on this disk and will come to the server, whoever sends it; `write` returns when it is
there. See docs/decisions/clickhouse-ledger.md for why no event is lost or doubled on the way.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any

from monitoring.pipeline import failpoint
from monitoring.pipeline.bus.frame import Frame
from monitoring.pipeline.bus.streams import Entry
from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.errors import StoreUnreachable
from monitoring.pipeline.store import lease, partition
from monitoring.pipeline.store.batch import Batch
from monitoring.pipeline.store.catalog import Catalog, segment_path
from monitoring.pipeline.store.clickhouse.client import Client, OutOfTime
from monitoring.pipeline.store.clickhouse.ledger import LedgerContents, Outgoing
from monitoring.pipeline.store.clickhouse.rows import DAY_NS, INSERTED
from monitoring.pipeline.store.contents import StoredRows
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.letter import DeadLetter
from monitoring.pipeline.store.partition import Limits, Partition, active_number
from monitoring.pipeline.store.segment import open_readonly
from monitoring.pipeline.store.suspects import Suspect

__all__ = ["ClickhousePartition", "acquire"]

_log = logging.getLogger("monitoring.store")


def acquire(
    catalog: Catalog, number: int, limits: Limits, client: Client, *, me: Holder, now_ns: NowNs = wall_ns
) -> ClickhousePartition | None:
    """Take a partition's lease; None where another process holds it. See `partition.acquire`.

    A holder whose lease is over, that still runs and left inserts to be sent, is killed: stopped for hours in front of
    such a send, it would else do it after the server has forgotten the token.
    """
    last = _holder(catalog, number)
    taken = partition.acquire(catalog, "logs", number, limits, me=me, now_ns=now_ns, kind=LedgerContents)
    if taken is None:
        return None
    mine = ClickhousePartition(taken, client)
    if last is not None and last != me and mine.ledger.outgoing() and _kill(last):
        _log.warning("killed process %d: its lease of %s is over, and it had inserts to send", last.pid, mine.facts())
    return mine


def _holder(catalog: Catalog, number: int) -> Holder | None:
    newest = active_number(catalog.data, "logs", number)
    if not newest:
        return None
    with closing(open_readonly(segment_path(catalog.data, "logs", number, newest))) as connection:
        return lease.peek(connection).holder


def _kill(holder: Holder) -> bool:
    if holder.gone or not holder.visible:
        return False
    with suppress(ProcessLookupError, PermissionError):
        os.kill(holder.pid, signal.SIGKILL)
        return True
    return False


class ClickhousePartition(Partition):
    """A partition that this process may write to: what `taken` holds is its ledger."""

    def __init__(self, taken: Partition, client: Client) -> None:
        self.__dict__.update(taken.__dict__)
        self._client = client
        self.derive(())
        # Whether what is outgoing may be on the server already: an earlier holder, or a lost answer, left it.
        self._doubtful = bool(self.ledger.outgoing())

    @property
    def ledger(self) -> LedgerContents:
        """The active ledger."""
        contents = self.segment.contents
        assert isinstance(contents, LedgerContents)  # noqa: S101 - `acquire` saw to it
        return contents

    def admit(self, entries: Sequence[Entry]) -> Batch:
        """See Writer. Raises StoreUnreachable while what was committed before cannot be sent."""
        self.send()
        return super().admit(entries)

    def write(self, batch: Batch, *, cleared: Sequence[tuple[str, int]] = ()) -> None:
        """See Writer. After StoreUnreachable the batch is committed here, and admitted as seen once it is sent."""
        self.send()
        super().write(batch, cleared=cleared)
        failpoint.hit("clickhouse.intent")
        self.send()

    def write_piece(self, frame: Frame, suspect: Suspect, rows: StoredRows, letters: Sequence[DeadLetter]) -> None:
        """See Writer."""
        self.send()
        super().write_piece(frame, suspect, rows, letters)
        self.send()

    def send(self) -> None:
        """Bring to the server what is committed and not there yet. Raises StoreUnreachable, Fenced."""
        waiting = self.ledger.outgoing()
        for item in waiting:
            if self._doubtful:
                self.renew()  # whoever was overtaken must not send
            if not self._doubtful or not self._is_there(item):
                self._insert(item)
            self.ledger.note_sent(item)
        self._doubtful = False
        if waiting:
            failpoint.hit("clickhouse.sent")

    def _insert(self, item: Outgoing) -> None:
        try:
            self._client.insert("log", INSERTED, item.body, token=item.token)
        except (StoreUnreachable, OutOfTime) as error:
            self._doubtful = True
            self.renew()
            raise StoreUnreachable(str(error)) from error
        failpoint.hit("clickhouse.inserted")

    def _is_there(self, item: Outgoing) -> bool:
        """Whether the server has this insert. Of frames that it has in part nothing is said: an insert is whole."""
        try:
            rows = self._client.rows(
                "SELECT lane, seq, count() FROM log WHERE partition = {partition:UInt16} AND batch = {batch:UInt64}"
                " AND time >= {start:Int64} AND time < {end:Int64} GROUP BY lane, seq",
                {"partition": self.number, "batch": item.batch, "start": item.day * DAY_NS,
                 "end": (item.day + 1) * DAY_NS},
            )  # fmt: skip
        except OutOfTime as error:
            raise StoreUnreachable(str(error)) from error
        return sorted(rows) == sorted(item.frames)

    def renew(self) -> None:
        """See Writer."""
        with self.segment.transaction():
            self.ledger.forget_sent()

    def roll_over(self) -> None:
        """See Writer."""
        self.send()
        self.renew()
        super().roll_over()

    def release(self) -> None:
        """See Writer."""
        if self.ledger.unforgotten:
            self.renew()
        super().release()

    def facts(self) -> dict[str, Any]:
        """See Writer."""
        return {**super().facts(), "store": str(self._client.address)}
