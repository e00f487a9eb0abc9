"""What a producer writes down beside the product: one append-only text file a producer.

    e <n> <sha>         event n is about to be emitted; sha = first 16 hex digits of SHA-256 of its content
    r <n> <sha>         the same for input that is no event and must end as a dead letter
    a <first> <last>    the product acknowledged these at A1 (fsynced in a spool) or above
    x <first> <last>    the product refused these: it holds none of them
    c <json>            the producer's own counters when it closed: {"emitted": n, "dropped": {reason: n}}

The lines of a batch are fsynced before the product is given the batch, and the acknowledgement after the
product gave it; so whatever dies, the journal claims no more than is true. Numbers count from 0 without gaps.
Standard library only: the checker stands on this.
"""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["FIELDS", "SUFFIX", "Account", "Journal", "content_sha", "event_key", "parse_key", "raw_sha", "read_journal"]

SUFFIX = ".journal"
FIELDS = (
    "timestamp", "level", "service", "environment", "release", "logger", "host", "message",
    "trace_id", "span_id", "request_id", "exception", "attributes",
)  # fmt: skip
"""What the content of an event is, in this order; `request_id` holds its key."""

_PREFIX = "evt_"


def event_key(producer: str, number: int) -> str:
    """The unique key of an event: one word of the text index."""
    return f"{_PREFIX}{producer}_{number}"


def parse_key(key: str) -> tuple[str, int] | None:
    """Producer and number of a key; None for anything else."""
    head, _, number = key.rpartition("_")
    if not head.startswith(_PREFIX) or not number.isascii() or not number.isdigit():
        return None
    return head.removeprefix(_PREFIX), int(number)


def content_sha(values: Sequence[Any]) -> int:
    """64 bits of SHA-256 of an event's fields, given in the order of `FIELDS`."""
    text = json.dumps(list(values), ensure_ascii=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def raw_sha(raw: bytes) -> int:
    """The same for input that is no event."""
    return int.from_bytes(hashlib.sha256(raw).digest()[:8], "big")


class Journal:
    """Appends to one producer's journal. The order of calls is `intend`, give it to the product, `acknowledge`."""

    def __init__(self, directory: Path, producer: str) -> None:
        self.producer = producer
        self.next = 0
        self._handle = os.open(directory / f"{producer}{SUFFIX}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)

    def intend(self, shas: Iterable[int], *, rejected: bool = False) -> range:
        """Write down what is about to be emitted; the numbers these events have."""
        letter = "r" if rejected else "e"
        lines = [f"{letter} {number} {sha:016x}\n" for number, sha in enumerate(shas, self.next)]
        numbers = range(self.next, self.next + len(lines))
        self.next = numbers.stop
        self._write("".join(lines))
        return numbers

    def intend_mixed(self, shas: Iterable[tuple[int, bool]]) -> range:
        """`intend` for a batch in which some (marked True) are input that is no event."""
        lines = [f"{'r' if odd else 'e'} {number} {sha:016x}\n" for number, (sha, odd) in enumerate(shas, self.next)]
        numbers = range(self.next, self.next + len(lines))
        self.next = numbers.stop
        self._write("".join(lines))
        return numbers

    def acknowledge(self, numbers: range) -> None:
        """The product said that it has these, at A1 or above."""
        if numbers:
            self._write(f"a {numbers.start} {numbers.stop - 1}\n")

    def refused(self, numbers: range) -> None:
        """The product raised instead of taking these."""
        if numbers:
            self._write(f"x {numbers.start} {numbers.stop - 1}\n")

    def conclude(self, emitted: int, dropped: dict[str, int]) -> None:
        """The producer's own counters, as it closed in order."""
        self._write("c " + json.dumps({"emitted": emitted, "dropped": dropped}) + "\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def _write(self, text: str) -> None:
        data = text.encode()
        while data:
            data = data[os.write(self._handle, data) :]
        os.fsync(self._handle)


@dataclass(slots=True)
class Account:
    """One producer's journal, read, and what was found of it so far: a count for each of its events."""

    shas: array[int] = field(default_factory=lambda: array("Q"))
    rejected: bytearray = field(default_factory=bytearray)
    acknowledged: bytearray = field(default_factory=bytearray)
    refused: bytearray = field(default_factory=bytearray)
    found: bytearray = field(default_factory=bytearray)
    counters: dict[str, Any] | None = None
    troubles: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.shas)


def read_journal(path: Path) -> Account:
    """A journal. A torn last line (its writer was killed) is left out; anything else odd is a trouble."""
    account = Account()
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                _read_line(account, line)
    account.found = bytearray(len(account))
    return account


def _read_line(account: Account, line: bytes) -> None:
    kind, _, rest = line.rstrip().partition(b" ")
    try:
        if kind in (b"e", b"r"):
            number, sha = rest.split()
            if int(number) != len(account):
                raise ValueError(f"number {len(account)} is missing")
            account.shas.append(int(sha, 16))
            account.rejected.append(kind == b"r")
            account.acknowledged.append(0)
            account.refused.append(0)
        elif kind in (b"a", b"x"):
            first, last = map(int, rest.split())
            if not 0 <= first <= last < len(account):
                raise ValueError("answers what was never emitted")
            answers = account.acknowledged if kind == b"a" else account.refused
            answers[first : last + 1] = b"\1" * (last + 1 - first)
        elif kind == b"c":
            account.counters = json.loads(rest)
        else:
            raise ValueError("not a journal's line")
    except ValueError as error:
        account.troubles.append(f"{line[:80]!r}: {error}")
