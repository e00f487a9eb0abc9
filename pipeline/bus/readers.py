"""Reading streams that lie on several servers: one thread a stream, which waits where the stream is.

One XREAD takes streams of one slot only. To wait for each in turn would make the others late, and to ask all again and
again would keep an idle machine busy. A thread a stream costs what one blocking XREAD a second costs, and a frame is
seen as soon as it is there. A drain holds few streams: its share of the partitions.

    read(cursors) -> each idle thread is asked for its stream -> what is there first wakes the caller
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from monitoring.pipeline.errors import MonitoringError

__all__ = ["Readers"]

Read = Callable[[Mapping[str, str], int, int | None], dict[str, list[Any]]]
"""Streams with cursors, count, milliseconds to wait: the entries of each stream."""
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
"""Between two attempts where a server is away: it is missed for so long after it is back."""


class Readers:
    """One reader a stream. `read` is for one thread; nothing that is read is ever taken off a stream."""

    def __init__(self, read: Read) -> None:
        """`read` is called by several threads at once, with one stream each."""
        self._read = read
        self._changed = threading.Condition()
        self._readers: dict[str, _Reader] = {}

    def read(self, cursors: Mapping[str, str], *, count: int, block_ms: int) -> dict[str, list[Any]]:
        """What is behind the cursors, by stream; waits up to `block_ms` for the first.

        A stream may answer for a question of the last call, with an older cursor or count. Raises what was raised
        for a stream where no other stream has anything.
        """
        for gone in self._readers.keys() - cursors.keys():
            self._readers.pop(gone).stop()
        with self._changed:
            for stream, cursor in cursors.items():
                reader = self._readers.get(stream)
                if reader is None:
                    reader = self._readers[stream] = _Reader(stream, self._read, self._changed)
                    reader.start()
                reader.ask(cursor, count, block_ms)
            self._changed.wait_for(lambda: any(one.found for one in self._readers.values()), block_ms / 1000)
            found = {stream: entries for stream, one in self._readers.items() if (entries := one.take())}
            errors = [one.error for one in self._readers.values() if one.error is not None]
        if errors and not (found and all(isinstance(error, MonitoringError) for error in errors)):
            raise errors[0]
        return found

    def close(self) -> None:
        """Have all threads end; those that wait do so when their server answers, or the connection goes."""
        for reader in self._readers.values():
            reader.stop()
        self._readers.clear()


class _Reader(threading.Thread):
    """Reads its stream each time it is asked. All fields are guarded by the condition."""

    def __init__(self, stream: str, read: Read, changed: threading.Condition) -> None:
        super().__init__(name=f"reader {stream}", daemon=True)
        self._stream, self._read, self._changed = stream, read, changed
        self._asked: tuple[str, int, int] | None = None
        self._busy = False
        self._stopped = False
        self.found: list[Any] = []
        self.error: Exception | None = None

    def ask(self, cursor: str, count: int, block_ms: int) -> None:
        """Have the stream read, unless it is being read or what was read waits to be taken."""
        if not self._busy and not self.found:
            self._busy, self._asked = True, (cursor, count, block_ms)
            self._changed.notify_all()

    def take(self) -> list[Any]:
        """What was found, once."""
        found, self.found = self.found, []
        return found

    def stop(self) -> None:
        """Do not read again."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def run(self) -> None:
        """See Thread."""
        pause = 0.0
        while (asked := self._next(pause)) is not None:
            found, error = self._once(asked)
            with self._changed:
                self._busy, self.found, self.error = False, found, error
                if found:
                    self._changed.notify_all()
            pause = 0.0 if error is None else min(max(_FIRST_PAUSE_SECONDS, pause * 2), _LONGEST_PAUSE_SECONDS)

    def _next(self, pause_seconds: float) -> tuple[str, int, int] | None:
        """The next question; None where there will be none."""
        ends = time.monotonic() + pause_seconds
        with self._changed:
            while not self._stopped:
                left = ends - time.monotonic()
                if left <= 0 and self._asked is not None:
                    asked, self._asked = self._asked, None
                    return asked
                self._changed.wait(left if left > 0 else None)
        return None

    def _once(self, asked: tuple[str, int, int]) -> tuple[list[Any], Exception | None]:
        cursor, count, block_ms = asked
        try:
            return self._read({self._stream: cursor}, count, block_ms).get(self._stream, []), None
        except Exception as error:  # the caller's to raise
            return [], error
