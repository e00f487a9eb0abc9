"""Which of a host's processes measures the host: the one that holds the lock on a file.

The kernel lets go of it when that process ends, however it ends, and another takes it at its next round.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from monitoring.pipeline.errors import RetryableError

__all__ = ["HostLock", "LockUnusable", "default_path"]


class LockUnusable(RetryableError):
    """The file that would be locked belongs to somebody else, or cannot be made."""


def default_path(name: str) -> Path:
    """The file for what is measured under this name by this user, in the directory for temporary files.

    Not in XDG_RUNTIME_DIR: that is there for logins and not for services, so two processes of one user would choose
    different files.
    """
    return Path(tempfile.gettempdir()) / f"monitoring-{name}-{os.getuid()}.lock"


class HostLock:
    """At most one process holds it; a forked child of that process does not. For one thread at a time.

    `flock` belongs to what `open` made, which a forked child shares: it would keep the lock when its parent has
    ended. So the child closes its copy, which leaves the parent's alone, where unlocking would not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None
        self._identity = (0, 0)
        self._owner = 0

    def acquire(self) -> bool:
        """Whether this process holds it now: asked when it does, tried when it does not. Raises LockUnusable."""
        if self._handle is not None:
            if self._owner == os.getpid() and self._identity == _identity(self._handle) == _identity(self.path):
                return True
            self._let_go()  # of a file that was deleted, or of which this is a fork's copy
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LockUnusable(f"{self.path} cannot be opened: {error.strerror}") from error
        try:
            if self._lock(handle):
                self._handle, self._owner = handle, os.getpid()
                return True
        finally:
            if self._handle is None:
                os.close(handle)
        return False

    def _lock(self, handle: int) -> bool:
        found = os.fstat(handle)
        if found.st_uid != os.getuid() or not stat.S_ISREG(found.st_mode):
            raise LockUnusable(f"{self.path} belongs to somebody else: remove it")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._identity = (found.st_dev, found.st_ino)
        if self._identity != _identity(self.path):
            return False  # deleted before it was locked: the next round finds the new one
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        return True

    def holder(self) -> int:
        """The pid of the process that took it last; 0 where that is not known."""
        try:
            return int(self.path.read_text())
        except (OSError, ValueError):
            return 0

    def release(self) -> None:
        """Let another process have it."""
        self._let_go()

    def renew_after_fork(self) -> None:
        """In a forked child, which does not hold it."""
        self._let_go()

    def _let_go(self) -> None:
        """Close our handle, unless the application closed it and the number is a file of its own now."""
        handle, self._handle = self._handle, None
        if handle is not None and _identity(handle) == self._identity:
            with suppress(OSError):
                os.close(handle)


def _identity(file: int | Path) -> tuple[int, int]:
    """Device and inode; (0, 0), which no file has, where there is none."""
    try:
        found = os.stat(file)  # noqa: PTH116 - of a handle, too
    except OSError:
        return (0, 0)
    return (found.st_dev, found.st_ino)
