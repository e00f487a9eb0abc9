"""Barriers: a caller waits until what it has emitted is safe enough."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal

from monitoring.pipeline.publish.buffer import Mark
from monitoring.pipeline.publish.outbox import Outbox

__all__ = ["Ack", "Barrier"]

Ack = Literal["spool", "bus", "store"]
"""How safe is safe: fsynced in the spool (A1), on the bus (A2), committed to the store (A3)."""


@dataclass(slots=True, eq=False)
class Barrier:
    """A caller waits until everything that was buffered at `mark` is as safe as `ack`.

    `targets`, each outbox with a seq of it, are known when all of that is sealed. `done` is set when it is reached, or
    when it is `in_vain` to wait: nobody takes this signal, or the process ends and the bus refuses.
    """

    mark: Mark
    ack: Ack
    done: threading.Event = field(default_factory=threading.Event)
    given_up: bool = False
    in_vain: bool = False
    targets: list[tuple[Outbox, int]] | None = None

    @property
    def reached(self) -> bool:
        """Whether everything in front of it is as safe as asked; `targets` are known."""
        return self.targets is not None and all(_as_safe_as(self.ack, outbox, seq) for outbox, seq in self.targets)


def _as_safe_as(ack: Ack, outbox: Outbox, seq: int) -> bool:
    if seq <= outbox.lane.low:
        return True
    if ack == "spool":
        return outbox.durable(seq)
    return ack == "bus" and outbox.lane.on_bus(seq)
