"""The spool's part of a backup: names and sizes at one moment, bytes afterwards.

A spool is appended to and deleted from, never changed in between. So a second name for each file (a hard link) and
its size are the file as it was; the bytes can be copied when nobody waits. Only a lane's `head` is overwritten in
place; see `look_again`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from monitoring.pipeline.process import alive

__all__ = ["SpoolMoment", "spool_moment"]

_LANE = re.compile(r"[0-9a-f]{32}")
_LINKS = re.compile(r"\.backup-([0-9]+)")
_HEAD_BYTES = 256


@dataclass(slots=True)
class SpoolMoment:
    """The lanes as they were: by lane the first reading of its head, and its files with their sizes."""

    directory: Path
    links: Path
    heads_before: dict[str, dict[str, Any]] = field(default_factory=dict)
    heads: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, list[tuple[str, int]]] = field(default_factory=dict)

    def look(self) -> None:
        """Remember what there is. Takes some ten microseconds a file."""
        for lane in _lanes(self.directory):
            (self.links / lane).mkdir(mode=0o700)
            with contextlib.suppress(FileNotFoundError):
                (self.links / lane / "head").hardlink_to(self.directory / lane / "head")
            head = _read_head(self.links / lane)
            if head is None:
                continue  # just ended: all of it is committed; or damaged, and nobody sends it
            self.heads_before[lane] = head
            self.files[lane] = []
            for path in sorted((self.directory / lane).glob("*.frames")):
                with contextlib.suppress(FileNotFoundError):  # committed and released: the segments have it
                    linked = self.links / lane / path.name
                    linked.hardlink_to(path)
                    self.files[lane].append((path.name, linked.stat().st_size))

    def look_again(self) -> None:
        """Complete the heads, after the segments were looked at.

        A lane that got its partition in between may have frames in a segment of it: without the partition it
        would be sent to any. How far it was released counts from before: what was released since may be in no
        segment of this backup.
        """
        for lane, before in self.heads_before.items():
            after = _read_head(self.links / lane) or before  # the link: the lane itself may have ended and be gone
            partition = before["partition"] if before["partition"] is not None else after.get("partition")
            self.heads[lane] = {**before, "partition": partition}

    def copy(self, target: Path) -> Iterator[Path]:
        """Copy into this directory; yields each file when it is there, not yet synced."""
        for lane, files in self.files.items():
            if not files:
                continue
            (target / lane).mkdir(mode=0o700, parents=True)
            head = target / lane / "head"
            _write(head, orjson.dumps(self.heads[lane]).ljust(_HEAD_BYTES - 1) + b"\n")
            yield head
            for name, size in files:
                with (self.links / lane / name).open("rb") as source:
                    _write(target / lane / name, source.read(size))
                yield target / lane / name


@contextlib.contextmanager
def spool_moment(directory: Path) -> Iterator[SpoolMoment]:
    """A moment that is still to be looked at; its links are removed at the end."""
    links = directory / f".backup-{os.getpid()}"
    if directory.is_dir():
        for left in directory.glob(".backup-*"):  # by a backup that was killed
            match = _LINKS.fullmatch(left.name)
            if match and (int(match[1]) == os.getpid() or not alive(int(match[1]))):
                shutil.rmtree(left, ignore_errors=True)
        links.mkdir(mode=0o700)
    try:
        yield SpoolMoment(directory, links)
    finally:
        shutil.rmtree(links, ignore_errors=True)


def _lanes(directory: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(directory) if _LANE.fullmatch(name))  # noqa: PTH208 - names only
    except FileNotFoundError:
        return []


def _read_head(lane: Path) -> dict[str, Any] | None:
    """None where there is none, or it cannot be understood: such a lane is not sent either."""
    try:
        head = orjson.loads((lane / "head").read_bytes())
        return head if isinstance(head, dict) and {"signal", "partition", "low"} <= set(head) else None
    except (OSError, orjson.JSONDecodeError):
        return None


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
