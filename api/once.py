"""Events under an Idempotency-Key: the same frames however often the request comes, and in the store once.

    promise (fsynced in control.db) -> frames -> spool, fsynced -> bus -> 202

The frames follow from the promise and the body alone. The first attempt writes them to the spool, sends them
and lets go: whoever looks after the spool's orphans sees to it that they reach the store. Where an earlier
attempt has left its lane in the spool, perhaps only a part of it, all frames go to the bus again and the
answer waits until the store has them; what it had already, its marks absorb.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Sequence

from monitoring.api.problems import Problem
from monitoring.api.runtime import Runtime
from monitoring.pipeline.bus.frame import Frame
from monitoring.pipeline.bus.lanes import RETAINED_FRAMES, Lane
from monitoring.pipeline.errors import BusFull, MonitoringError
from monitoring.pipeline.events.signals import Signal
from monitoring.pipeline.ingest.intake import Intake
from monitoring.pipeline.publish.packing import pack
from monitoring.pipeline.publish.sender import LaneSender
from monitoring.pipeline.publish.spool import SpoolLane
from monitoring.pipeline.store.promises import Promise

__all__ = ["frames_of", "publish_once"]

_log = logging.getLogger("monitoring.api")

_TEXT_BYTES = 1 << 20
"""Larger frames than a publisher's: all of them have to fit into the window of 256."""
_TRIP_FRAMES = 8
COMMIT_SECONDS = 5.0
"""How long a repeated request waits for the store: a healthy one takes it within a second, and the thread that
waits serves nobody else."""


def frames_of(promise: Promise, intake: Intake, signal: Signal) -> list[Frame]:
    """The frames of a request; the same promise and intake give the same ones. Raises Problem 413 for too many."""
    packing = pack(intake.events, intake.rejected, max_text_bytes=_TEXT_BYTES, signal=signal)
    if packing.dropped:
        raise AssertionError(f"events that were read could not be packed: {packing.dropped}")
    if len(packing.frames) > RETAINED_FRAMES:
        raise Problem(413, "the body makes too many frames", field="body", fix="split it")
    lane = Lane(promise.lane, signal.name, promise.partition)
    frames = []
    for packed in packing.frames:
        frames.append(lane.draft(packed.payload, packed.events, promise.created))
        lane.retain(frames[-1], hold=False)
    return frames


def publish_once(runtime: Runtime, promise: Promise, frames: Sequence[Frame], signal: Signal) -> None:
    """Make the frames safe: fsynced in the spool, or in the store. Raises as these do; then it may be repeated."""
    journal = _begin(runtime, promise, signal)
    if journal is None:
        _send_and_wait(runtime, promise, frames, signal)
        return
    try:
        journal.append(frames)
        journal.place(promise.partition)
        _try_to_send(runtime, promise, frames, signal)
    finally:
        journal.close()


def _begin(runtime: Runtime, promise: Promise, signal: Signal) -> SpoolLane | None:
    """A new lane in the spool; None where an earlier attempt has left one."""
    try:
        return runtime.spool.create(promise.lane, signal.name)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.EAGAIN):
            return None
        raise


def _try_to_send(runtime: Runtime, promise: Promise, frames: Sequence[Frame], signal: Signal) -> None:
    """Best effort, for speed: the frames are safe, and the spool's orphans are looked after every few seconds."""
    try:
        _send(runtime, promise, frames, signal)
    except MonitoringError as error:
        _log.info("lane %s waits in the spool: %s", promise.lane, error)


def _send(runtime: Runtime, promise: Promise, frames: Sequence[Frame], signal: Signal) -> None:
    transport = runtime.transport
    if transport.publish(signal.name, promise.partition, promise.lane, []).full:
        raise BusFull("the bus is at its mark")
    for start in range(0, len(frames), _TRIP_FRAMES):
        transport.publish(signal.name, promise.partition, promise.lane, frames[start : start + _TRIP_FRAMES])


def _send_and_wait(runtime: Runtime, promise: Promise, frames: Sequence[Frame], signal: Signal) -> None:
    sender = LaneSender(promise.lane, lambda: runtime.transport, signal=signal.name, partition=promise.partition)
    sender.restore(frames)
    if not sender.wait(COMMIT_SECONDS):
        why = sender.trouble or "the store has not taken the events yet"
        _log.warning("lane %s: %s", promise.lane, why)
        raise Problem(503, "the store has not taken the events yet", fix="repeat the request as it is", retry_after=5)
