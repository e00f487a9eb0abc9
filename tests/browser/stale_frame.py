"""Sends a frame that is eight days old: the drain keeps it as a dead letter of the kind `stale`, which a replay stores.

The browser tests run it with MONITORING_DATA_DIR.
"""

from __future__ import annotations

import uuid

from monitoring.pipeline.bus.frame import encode_payload, seal
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.events.signals import SIGNALS
from monitoring.pipeline.publish.connect import transport_from
from monitoring.pipeline.settings import load

_EIGHT_DAYS = 8 * 86_400 * 10**9


def main() -> None:
    """Send it, as a lane of its own."""
    now, lane = wall_ns(), uuid.uuid4().hex
    frame = seal(
        lane=lane,
        seq=1,
        released_below=1,
        signal="logs",
        count=1,
        created=now - _EIGHT_DAYS,
        counters={"emitted": 1, "dropped": {}},
        payload=encode_payload([Event(now, 9, "late", message="late by eight days")], signal=SIGNALS["logs"]),
    )
    transport = transport_from(load())
    transport.publish("logs", 0, lane, [frame])
    transport.close()


if __name__ == "__main__":
    main()
