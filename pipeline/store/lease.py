"""Leases: one process writes to a partition at a time.

Lease and epoch stand in the head row of the partition's active segment, so that taking over and every
commit are transactions of the same file: a commit names its epoch and fails if another has taken over.
Times are boot seconds, which no setting of the clock moves; a lease of another boot has no holder.
"""

from __future__ import annotations

import os
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

import apsw
import orjson

from monitoring.pipeline.clock import boot_id, boot_seconds
from monitoring.pipeline.errors import Fenced, RetryableError
from monitoring.pipeline.store.space import space_needed

__all__ = ["LEASE_SECONDS", "RENEW_SECONDS", "Holder", "LeaseBlocked", "LeaseState", "evict", "peek", "release", "take"]

LEASE_SECONDS = 8.0
"""A holder that has not renewed for so long is taken over. The longest commit seen took under 2 s; with the
5 s of waiting for a lock and the ticker's second, a stopped holder's partition is drained again within 15 s."""
RENEW_SECONDS = 2.0
"""Renewal is a commit; batches renew as they go, so this only counts while idle."""


class LeaseBlocked(RetryableError):
    """The recorded holder keeps the file locked and may not be killed by this process."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process of this machine: its pid means something only with boot, pid namespace and start time."""

    boot: str
    namespace: str
    pid: int
    started: int

    @classmethod
    def this_process(cls) -> Holder:
        """The process that calls."""
        return cls(boot_id(), _namespace(), os.getpid(), _started(os.getpid()) or 0)

    def to_json(self) -> str:
        """As it stands in a head row."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def from_json(cls, text: str) -> Holder:
        """Reverse of `to_json`."""
        return cls(**orjson.loads(text))

    @property
    def visible(self) -> bool:
        """Whether this process can tell if the holder lives: same boot, same pid namespace."""
        return self.boot == boot_id() and self.namespace == _namespace()

    @property
    def gone(self) -> bool:
        """Whether the holder certainly no longer runs."""
        if self.boot != boot_id():
            return True
        return self.visible and _started(self.pid) != self.started


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None where it does not run (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return _started_without_proc(pid)
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])


def _started_without_proc(pid: int) -> int | None:
    if Path("/proc/self/stat").exists():
        return None
    import psutil

    try:
        return int(psutil.Process(pid).create_time() * 100)
    except psutil.Error:
        return None


@dataclass(frozen=True, slots=True)
class LeaseState:
    """What a head row says: `holder` is None after a clean release."""

    epoch: int
    holder: Holder | None
    renewed: float

    @property
    def expired(self) -> bool:
        """Whether the holder's time is over, or the holder gone."""
        if self.holder is None or self.holder.gone:
            return True
        return not -1.0 <= boot_seconds() - self.renewed < LEASE_SECONDS


def peek(connection: apsw.Connection) -> LeaseState:
    """Who holds the lease of the segment behind this connection."""
    epoch, holder, renewed = connection.execute("SELECT epoch, holder, renewed FROM head").get
    return LeaseState(epoch, Holder.from_json(holder) if holder else None, renewed)


def take(connection: apsw.Connection, me: Holder) -> tuple[int, bool] | None:
    """Take the lease if it is free or expired: the new epoch, and whether the last holder released it cleanly.

    None where somebody holds it. Raises apsw.BusyError where the file stays locked (see `evict`).
    """
    if not _may_take(peek(connection), me):
        return None
    with space_needed(Path(connection.filename)):
        return _take(connection, me)


def _take(connection: apsw.Connection, me: Holder) -> tuple[int, bool] | None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        state = peek(connection)
        if not _may_take(state, me):
            connection.execute("ROLLBACK")
            return None
        connection.execute(
            "UPDATE head SET epoch = ?, holder = ?, renewed = ?", (state.epoch + 1, me.to_json(), boot_seconds())
        )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return state.epoch + 1, state.holder is None


def _may_take(state: LeaseState, me: Holder) -> bool:
    return state.expired or state.holder == me


def release(connection: apsw.Connection, epoch: int) -> None:
    """Give the lease back, cleanly. Raises Fenced if it is no longer ours."""
    with space_needed(Path(connection.filename)):
        connection.execute("UPDATE head SET holder = NULL WHERE epoch = ? AND sealed IS NULL", (epoch,))
    if connection.changes() != 1:
        raise Fenced(f"the lease of epoch {epoch} was taken over before it was released")


def evict(connection: apsw.Connection) -> Holder | None:
    """Kill the recorded holder, which keeps the file locked past its lease (a process stopped inside a transaction).

    Returns it, or None where its lease has not expired. Raises LeaseBlocked where this process may not.
    """
    state = peek(connection)
    holder = state.holder
    if holder is None or holder.gone or not state.expired:
        return None
    if not holder.visible:
        raise LeaseBlocked(f"process {holder.pid} of another pid namespace holds the file past its lease: end it there")
    try:
        os.kill(holder.pid, signal.SIGKILL)
    except PermissionError as error:
        raise LeaseBlocked(
            f"process {holder.pid} holds the file past its lease: kill it (not permitted here)"
        ) from error
    except ProcessLookupError:
        return None
    return holder
