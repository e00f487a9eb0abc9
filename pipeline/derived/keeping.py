"""What a segment of logs keeps of the metrics that are derived from its events, until the metric store has them."""

from __future__ import annotations

import time
from collections.abc import Sequence

import apsw

from monitoring.pipeline import failpoint
from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.derived.definition import Definition
from monitoring.pipeline.derived.gather import Gatherer
from monitoring.pipeline.derived.outbox import Outbox
from monitoring.pipeline.store.rows import Dimensions

__all__ = ["Keeping"]

_KEEP_SECONDS = 2.0
"""Frames of the outbox that are committed are mostly forgotten with the next events; without any, in a commit of their
own after this."""


class Keeping:
    """The part of the contents of a segment that derives metrics: an outbox, and what gathers for it."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._gatherer: Gatherer | None = None
        self._now_ns: NowNs = wall_ns
        self.outbox = Outbox(connection)
        self._released: tuple[str, int] | None = None
        self._overtaken = False
        self._tidy_at = 0.0

    def derive(self, definitions: Sequence[Definition], now_ns: NowNs) -> None:
        """Gather these metrics from what is written from now on."""
        self._gatherer = Gatherer(self._connection, definitions) if definitions else None
        self._now_ns = now_ns

    def release(self, lane: str, low: int, *, overtaken: bool = False) -> None:
        """Frames of the outbox up to this seq are committed; `tidy`, or what is written next, forgets them."""
        self._released = (lane, low)
        self._overtaken = overtaken
        self._tidy_at = time.monotonic() + (0 if overtaken else _KEEP_SECONDS)

    def untidy(self, now_ns: int) -> bool:
        """See Contents. The index sees to itself, the outbox does not."""
        return self._released is not None and time.monotonic() >= self._tidy_at

    def tidy(self, now_ns: int) -> None:
        """See Contents."""
        self._forget_released()

    def forget(self) -> None:
        """See Contents."""
        if self._gatherer is not None:
            self._gatherer.forget()

    def _forget_released(self) -> None:
        if self._released is not None:
            forget = self.outbox.renew if self._overtaken else self.outbox.release
            forget(*self._released)
            self._released = None

    def _derive(self, ids: Sequence[int], dimensions: Dimensions) -> None:
        """Put into the outbox what these rows of `log` add to metrics."""
        self._forget_released()
        if self._gatherer is not None and (deltas := self._gatherer.gather(ids, dimensions)):
            self.outbox.put(deltas, self._now_ns())
            failpoint.hit("derived.put")
