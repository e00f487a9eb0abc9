"""A file that is written while it is read: what became of it, and the one that took its place.

renamed, a new one in its place     read the old one to its end, until it is quiet for a second, then the new
copied and truncated                read the rest from the copy, if it is found beside, then from the start
truncated                           read from the start
gone                                wait; what still comes through the open file is read
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from monitoring.pipeline.ingest.feed import Feed
from monitoring.pipeline.ingest.source import FileSource, Unreadable
from monitoring.pipeline.ingest.state import Identity, Last, Place, identify

__all__ = ["QUIET_SECONDS", "Change", "Follower", "change_of", "copy_beside", "missed"]

QUIET_SECONDS = 1.0
"""How long a renamed file must have been quiet: its writer reopens when it is told to, not when it is renamed."""

_NUMBERED = re.compile(r"[.-]\d{1,14}")
"""How rotated files are called: app.log.1, app.log-20240501."""

Change = Literal["none", "truncated", "renamed", "gone"]


def change_of(known: Identity, offset: int, now: Identity, at_path: tuple[int, int] | None) -> Change:
    """What became of a file: `known` when it was last read up to `offset`, `now` the open file, `at_path` device
    and inode of what stands under its name.
    """
    if now.size < offset or not now.head.startswith(known.head):
        return "truncated"
    if at_path is None:
        return "gone"
    return "none" if at_path == (now.device, now.inode) else "renamed"


def copy_beside(path: Path, known: Identity, offset: int) -> Path | None:
    """The copy of a truncated file, as logrotate's copytruncate makes it: `app.log.1` beside `app.log`."""
    if not known.head:
        return None
    for candidate in _siblings(path):
        found = _identity(candidate)
        if found is None or found.same_file(known) or found.size <= offset or not found.head.startswith(known.head):
            continue
        return candidate
    return None


def missed(path: Path, last: Last, known: Callable[[Identity], Place | None]) -> list[tuple[Path, Place]]:
    """What was rotated away from `path` since it was read last, oldest first, and where to go on in each.

    That is the file itself under its new name, or the copy that was made before it was truncated, and numbered
    files beside it that were written since. `known` says how far a file was read, None for one that never was.
    """
    found: list[tuple[int, Path, Place]] = []
    for candidate in _siblings(path):
        identity = _identity(candidate)
        if identity is None or _NUMBERED.fullmatch(candidate.name.removeprefix(path.name)) is None:
            continue
        with suppress(OSError):
            modified = candidate.stat().st_mtime_ns
            if modified <= last.updated and not last.is_at(identity):
                continue
            place = known(identity) or (last.place if last.goes_on_in(identity) else Place())
            if place.offset < identity.size:
                found.append((modified, candidate, place))
    return [(candidate, place) for _, candidate, place in sorted(found, key=lambda item: item[:2])]


def _siblings(path: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(other for other in path.parent.iterdir() if other.name.startswith(path.name) and other != path)
    return []


def _identity(path: Path) -> Identity | None:
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return identify(handle)
        finally:
            os.close(handle)
    return None


class Follower:
    """Follows one name. `begin` opens the file under it: a Feed at the place where earlier runs stopped or, behind
    a feed of the same file that was truncated, at the start of its next generation. It answers None where there
    is no file, and may raise Unreadable and AlreadyRunning.

    Feeds that have ended are in `retired`, for the caller to take away; their events come before those of `feed`.
    """

    def __init__(self, path: Path, begin: Callable[[Path, Feed | None], Feed | None]) -> None:
        self.path = path
        self.feed: Feed | None = None
        self.retired: list[Feed] = []
        self._begin = begin
        self._quiet_since = 0.0
        self._from_copy = False

    def step(self, now: float, now_ns: int) -> bool:
        """Read on, or see what became of the file; False where there is nothing to do for now."""
        if self.feed is None:
            return self._open()
        feed = self.feed
        change: Change = "none" if self._from_copy else self._look(feed)
        if change == "truncated":
            self._truncated(feed, now_ns)
            return True
        if feed.step(now, now_ns):
            self._quiet_since = now
            return True
        if self._from_copy:
            self._restart(feed, now_ns)
            return True
        if change == "renamed" and now - self._quiet_since >= QUIET_SECONDS:
            feed.finish(now_ns, at_once=True)
            self.retired.append(feed)
            self.feed = None
            return True
        return False

    def give_up(self, now_ns: int) -> None:
        """The file cannot be followed any further."""
        if self.feed is not None:
            self.feed.finish(now_ns, at_once=True)
            self.retired.append(self.feed)
            self.feed = None

    def _open(self) -> bool:
        self.feed = self._begin(self.path, None)
        return self.feed is not None

    def _look(self, feed: Feed) -> Change:
        """What became of the file; takes note of what it looks like now unless that is another's."""
        source = feed.source
        if not isinstance(source, FileSource) or not source.plain:
            return "none"
        try:
            stat = self.path.stat()
            at_path = (stat.st_dev, stat.st_ino)
        except OSError:
            at_path = None
        known = source.identity
        change = change_of(known, source.done_bytes, source.look(), at_path)
        if change == "truncated":
            source.identity = known
        return change

    def _truncated(self, feed: Feed, now_ns: int) -> None:
        source = feed.source
        assert isinstance(source, FileSource)  # noqa: S101 - only files are truncated
        copy = copy_beside(self.path, source.identity, source.done_bytes)
        if copy is not None:
            with suppress(Unreadable):
                rest = FileSource(copy)
                rest.seek(source.done_bytes)
                feed.hand_over(rest)
                self._from_copy = True
                return
        self._restart(feed, now_ns)

    def _restart(self, feed: Feed, now_ns: int) -> None:
        """End the old generation and begin the next, on the same file, at its start."""
        feed.finish(now_ns, at_once=True)
        feed.superseded = not self._from_copy
        self._from_copy = False
        self.retired.append(feed)
        self.feed = self._begin(self.path, feed)
