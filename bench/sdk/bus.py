"""The bus that our own rows publish to: the real server, as `monitoring up` starts it, and somebody who commits.

Without a drain a publisher keeps what it sent, and stops sealing when it keeps too much. `absorb` does what the
drain does to the bus, without a store: it takes the frames off and says that they are committed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monitoring.pipeline.bus.embedded import EmbeddedBus
from monitoring.pipeline.bus.streams import Streams, connect, stream_key

__all__ = ["Bus", "running"]

_MEMORY_BYTES = 512 << 20
"""The product's default for the server that it starts."""
_SIGNALS = ("logs", "metrics")


class Bus:
    """A server with one partition a signal. Used by one thread."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._streams = Streams(connect(url))
        self._streams.announce(dict.fromkeys(_SIGNALS, 1), "bench")

    def absorb(self) -> int:
        """Commit and delete all that waits; how many events that was."""
        events = 0
        for signal in _SIGNALS:
            key = stream_key(signal, 0)
            while entries := self._streams.read({key: "0-0"}, count=100, block_ms=None).get(key):
                lows: dict[str, int] = {}
                for entry in entries:
                    lane, seq = entry.fields[b"lane"].decode(), int(entry.fields[b"seq"])
                    lows[lane] = max(seq, lows.get(lane, 0))
                    events += int(entry.fields[b"count"])
                self._streams.settle(signal, 0, [entry.id for entry in entries], lows)
        return events


@contextmanager
def running() -> Iterator[Bus]:
    """A server of its own, in a directory that is gone behind the block."""
    data = Path(tempfile.mkdtemp(prefix="bench-"))
    server = EmbeddedBus(data, memory_bytes=_MEMORY_BYTES, say=print)
    try:
        yield Bus(server.start())
    finally:
        server.stop(timeout_seconds=10)
        shutil.rmtree(data, ignore_errors=True)
