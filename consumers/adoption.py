"""Adoption: what producers that died left in the spool is sent on, beside the ticker."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from monitoring.consumers import stop
from monitoring.pipeline.bus.streams import StreamTransport, connect
from monitoring.pipeline.errors import BusFull, BusRefused, BusUnavailable
from monitoring.pipeline.publish.adopter import LOOK_SECONDS, Adopter
from monitoring.pipeline.publish.spool import Spool
from monitoring.pipeline.settings import Settings

__all__ = ["Adoption", "spool_directory"]

_log = logging.getLogger("monitoring.adoption")

_PAUSE_SECONDS = 1.0
"""Between two tries while the bus is away or full; the ticker says that it is."""
_SAY_SECONDS = 60.0
"""A request under an Idempotency-Key leaves a lane behind as a dead producer does: many are told in one line."""


def spool_directory(chosen: Settings) -> Path:
    """The spool of this data directory: MONITORING_SPOOL_DIR, else `spool` in it."""
    return chosen.path("spool_dir") or chosen.data / "spool"


class Adoption(threading.Thread):
    """Adopts orphaned lanes of one spool directory until a stop is requested.

    It must not end otherwise: on an error nobody foresaw it logs it and calls `failed`.
    """

    def __init__(self, chosen: Settings, bus_url: str, *, failed: Callable[[], None]) -> None:
        super().__init__(name="adoption", daemon=True)
        self._chosen = chosen
        self._bus_url = bus_url
        self._failed = failed

    def run(self) -> None:
        """See Thread."""
        try:
            self._adopt()
        except Exception:
            _log.exception("the adoption of spooled frames failed")
            self._failed()

    def _adopt(self) -> None:
        chosen = self._chosen
        transport = StreamTransport(connect(self._bus_url), stream_length=chosen.whole("stream_length"))
        adopter = Adopter(Spool(spool_directory(chosen), max_bytes=chosen.whole("spool_bytes")))
        adopted, say_at = 0, float("-inf")
        try:
            while not stop.requested():
                pause = _PAUSE_SECONDS
                try:
                    adopter.step(transport, time.monotonic())
                    pause = adopter.due(time.monotonic()) - time.monotonic()
                except (BusUnavailable, BusFull, BusRefused) as error:
                    _log.debug("waiting: %s", error)
                if adopter.adopted > adopted and time.monotonic() >= say_at:
                    say_at = time.monotonic() + _SAY_SECONDS
                    _log.info(
                        "sending on what %d producers or requests left in the spool when they ended",
                        adopter.adopted - adopted,
                    )
                    adopted = adopter.adopted
                stop.wait(min(max(pause, 0.0), LOOK_SECONDS))
        finally:
            adopter.close()
            transport.close()
