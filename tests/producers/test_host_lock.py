"""One process a host: real processes, forked and killed, and a lock that the kernel gives to the next."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from monitoring.producers.host_lock import HostLock, LockUnusable, default_path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "host.lock"


class Child:
    """A forked process that does what it is told by a line, and answers yes or no."""

    def __init__(self, answer: Callable[[str], bool]) -> None:
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                ours.close()
                while order := theirs.recv(100):
                    theirs.sendall(b"yes" if answer(order.decode()) else b"no")
                status = 0
            finally:
                os._exit(status)
        theirs.close()
        self._ended = False
        self._socket = ours
        self._socket.settimeout(30)

    def ask(self, order: str) -> bool:
        self._socket.sendall(order.encode())
        answer = self._socket.recv(100)
        assert answer, "the child has ended"
        return answer == b"yes"

    def end(self, number: signal.Signals) -> None:
        if self._ended:
            return
        self._ended = True
        os.kill(self.pid, number)
        os.waitpid(self.pid, 0)
        self._socket.close()


@pytest.fixture
def fork() -> Iterator[Callable[[Callable[[str], bool]], Child]]:
    children: list[Child] = []

    def make(answer: Callable[[str], bool]) -> Child:
        children.append(Child(answer))
        return children[-1]

    yield make
    for child in children:
        child.end(signal.SIGKILL)


def fresh(path: Path) -> Callable[[str], bool]:
    """A process that has a lock of its own, made after the fork."""
    locks: list[HostLock] = []

    def answer(order: str) -> bool:
        if not locks:
            locks.append(HostLock(path))
        return locks[0].acquire()

    return answer


def test_one_of_many_processes_holds_it(path: Path, fork: Callable[..., Child]) -> None:
    children = [fork(fresh(path)) for _ in range(6)]
    assert sorted(child.ask("?") for child in children) == [False] * 5 + [True]
    assert sorted(child.ask("?") for child in children) == [False] * 5 + [True], "and keeps it"


def test_when_its_holder_is_killed_another_takes_over(path: Path, fork: Callable[..., Child]) -> None:
    first, second, third = (fork(fresh(path)) for _ in range(3))
    assert first.ask("?")
    assert HostLock(path).holder() == first.pid
    assert not second.ask("?")
    first.end(signal.SIGKILL)
    assert second.ask("?")
    assert not third.ask("?")
    assert HostLock(path).holder() == second.pid


def inherited(lock: HostLock) -> Callable[[str], bool]:
    """A process that was forked with the lock in its memory."""

    def answer(order: str) -> bool:
        if order == "renew":
            lock.renew_after_fork()
            return True
        return lock.acquire()

    return answer


@pytest.mark.parametrize("hook", [True, False])
def test_a_forked_child_does_not_hold_it_and_does_not_take_it_away(
    path: Path, fork: Callable[..., Child], hook: bool
) -> None:
    lock = HostLock(path)
    assert lock.acquire()
    child = fork(inherited(lock))
    if hook:
        child.ask("renew")
    assert not child.ask("?")
    assert lock.acquire(), "the parent has it still"
    assert not HostLock(path).acquire()
    lock.release()
    assert child.ask("?")
    assert not lock.acquire()


def test_a_child_that_outlives_its_parent_does_not_keep_it_from_others(path: Path, fork: Callable[..., Child]) -> None:
    ours, theirs = socket.socketpair()

    def parent(order: str) -> bool:
        lock = HostLock(path)
        held = lock.acquire()
        if os.fork() == 0:
            lock.renew_after_fork()
            theirs.sendall(str(os.getpid()).encode())
            signal.pause()
            os._exit(0)
        return held

    holder = fork(parent)
    assert holder.ask("?")
    grandchild = int(ours.recv(100))
    try:
        assert not HostLock(path).acquire()
        holder.end(signal.SIGKILL)
        os.kill(grandchild, 0)
        assert HostLock(path).acquire()
    finally:
        os.kill(grandchild, signal.SIGKILL)
        ours.close()
        theirs.close()


def test_a_program_that_the_holder_starts_does_not_inherit_it(path: Path, fork: Callable[..., Child]) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def holder(order: str) -> bool:
        held = HostLock(path)
        taken = held.acquire()
        program = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
        child = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False)
        assert child.stdout is not None
        child.stdout.readline()
        started.append(child)
        held.release()  # what is left of it would be in the program
        return taken and HostLock(path).acquire()

    assert fork(holder).ask("?")


def test_when_its_file_is_deleted_the_holder_does_not_believe_it_is_the_only_one(path: Path) -> None:
    first, second = HostLock(path), HostLock(path)
    assert first.acquire()
    path.unlink()
    assert second.acquire()
    assert not first.acquire()
    second.release()
    assert first.acquire()


def test_a_handle_that_the_application_closed_is_left_alone(path: Path, tmp_path: Path) -> None:
    """Daemons close all handles; the number may be a file of theirs by now."""
    lock = HostLock(path)
    assert lock.acquire()
    (handle,) = (int(name) for name in handles() if _is(int(name), path))
    os.close(handle)
    theirs = os.open(tmp_path / "theirs", os.O_WRONLY | os.O_CREAT)
    if theirs != handle:
        os.dup2(theirs, handle)
        os.close(theirs)
    lock.release()
    os.write(handle, b"still open")
    os.close(handle)
    assert lock.acquire()
    lock.release()


def handles() -> list[str]:
    return os.listdir("/dev/fd")  # noqa: PTH208 - names, which are numbers


def _is(handle: int, path: Path) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.fstat(handle), path.stat())
    return False


def test_a_link_or_somebody_elses_file_in_its_place_is_not_used(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("as it was")
    path.symlink_to(target)
    with pytest.raises(LockUnusable, match=r"host\.lock cannot be opened"):
        HostLock(path).acquire()
    assert target.read_text() == "as it was"
    path.unlink()
    path.mkdir()
    with pytest.raises(LockUnusable):
        HostLock(path).acquire()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a file somebody else's")
def test_somebody_elses_file_is_not_locked(path: Path) -> None:
    path.touch()
    os.chown(path, 12_345, -1)
    with pytest.raises(LockUnusable, match="belongs to somebody else"):
        HostLock(path).acquire()


def test_two_users_have_two_files_and_two_names_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = default_path("system")
    assert mine == default_path("system") != default_path("gpu")
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    assert default_path("system") != mine
    assert "4711" in default_path("system").name


def test_asking_again_and_again_costs_no_handles(path: Path) -> None:
    holder, waiting = HostLock(path), HostLock(path)
    assert holder.acquire()
    before = len(handles())
    ends = time.monotonic() + 0.05
    while time.monotonic() < ends:
        assert holder.acquire()
        assert not waiting.acquire()
    assert len(handles()) == before
