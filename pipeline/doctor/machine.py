"""Checks of the machine: Python, SQLite, the data directory and its disk, limits, the port."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import socket
import stat
import sys
from pathlib import Path

from monitoring.pipeline.addresses import reachable
from monitoring.pipeline.doctor.finding import Examined, Finding, ok, problem, warning

__all__ = [
    "data_directory_writable", "disk_not_full", "file_modes_closed", "files_may_be_open", "inodes_left",
    "local_file_system", "port_free", "python_new_enough", "retention_fits_disk", "sqlite_new_enough",
]  # fmt: skip

_SECRET_FILES = ("admin.key", "secret.key", "bus.url", "control.db")
_NETWORK_TYPES = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "ncpfs", "fuse.sshfs",
     "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "virtiofs", "beegfs"}
)  # fmt: skip
_OLDEST_PYTHON = (3, 11)
_LOW_DISK = 2.0
"""Times the reserve at which drains stop: what is left then is hours at an ordinary load, not days."""
_LOW_INODES = 0.02
_OPEN_FILES = 1024
"""The API keeps two dozen segments open, each with its log, beside a connection a client; 256 (macOS) is too few."""


def python_new_enough(seen: Examined) -> Finding:
    """Python 3.11 is the oldest that is tested."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < _OLDEST_PYTHON:
        return problem(f"Python {version}", "install Python 3.11 or newer and make the virtual environment with it")
    return ok(f"Python {version}")


def sqlite_new_enough(seen: Examined) -> Finding:
    """Older ones can damage a file in WAL mode."""
    import apsw

    from monitoring.pipeline.store.segment import MINIMUM_SQLITE

    version = tuple(map(int, apsw.sqlite_lib_version().split(".")[:3]))
    if version < MINIMUM_SQLITE:
        wanted = ".".join(map(str, MINIMUM_SQLITE))
        return problem(
            f"SQLite {apsw.sqlite_lib_version()}: before {wanted} a checkpoint can damage a file",
            "install apsw from its wheel, which brings its own SQLite: pip install -U apsw",
        )
    return ok(f"SQLite {apsw.sqlite_lib_version()}")


def data_directory_writable(seen: Examined) -> Finding:
    """Whether this user may make files in the data directory, or make the directory."""
    where = seen.existing
    probe = where / f".doctor-{os.getpid()}"
    try:
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        probe.unlink()
    except OSError as error:
        return problem(
            f"{where} cannot be written: {error.strerror}",
            "run as its owner, give it to this user (chown -R), or set MONITORING_DATA_DIR",
        )
    return ok(f"{seen.data} can be written" if where == seen.data else f"{seen.data} can be made")


def local_file_system(seen: Examined) -> Finding:
    """SQLite's locks do not hold on network file systems."""
    kind = _file_system(seen.existing, Path("/proc/self/mounts"))
    if kind in _NETWORK_TYPES:
        return problem(
            f"{seen.data} is on {kind}, a network file system: SQLite's locks do not hold there",
            "set MONITORING_DATA_DIR to a directory on a disk of this machine",
        )
    return ok(f"{seen.data} is on {kind}" if kind else "the system does not tell file systems")


def _file_system(path: Path, mounts: Path) -> str:
    """The type of the mount that a path is on, the last and deepest that fits; "" where it is not told."""
    found = (0, "")
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        _, point, kind, *_ = line.split(" ")
        point = point.encode().decode("unicode_escape")  # a space is \\040 there
        if path.resolve().is_relative_to(point) and len(point) >= found[0]:
            found = (len(point), kind)
    return found[1]


def disk_not_full(seen: Examined) -> Finding:
    """Drains stop at MONITORING_DISK_RESERVE."""
    free, reserve = shutil.disk_usage(seen.existing).free, seen.settings.whole("disk_reserve")
    said = f"{free / 1e9:.1f} GB are free where {seen.data} is"
    advice = "make room, or lower MONITORING_RETENTION_BYTES and run `monitoring retention`"
    if free < reserve:
        return problem(f"{said}, less than MONITORING_DISK_RESERVE ({reserve / 1e9:.1f}): drains have stopped", advice)
    if free < reserve * _LOW_DISK:
        return warning(f"{said}: drains stop at {reserve / 1e9:.1f}", advice)
    return ok(said)


def inodes_left(seen: Examined) -> Finding:
    """A disk can be full of small files."""
    found = os.statvfs(seen.existing)
    if found.f_files and found.f_favail < found.f_files * _LOW_INODES:
        return warning(
            f"{found.f_favail:,} of {found.f_files:,} inodes are left where {seen.data} is",
            "delete small files there (find DIR -xdev -type f | wc -l counts them), or use another disk",
        )
    return ok("there are inodes left" if found.f_files else "this file system does not count inodes")


def retention_fits_disk(seen: Examined) -> Finding:
    """What retention allows must have room, or the disk is full before it deletes anything."""
    chosen = seen.settings
    usage = shutil.disk_usage(seen.existing)
    limits = [chosen.whole("retention_bytes"), chosen.whole("metrics_retention_bytes")]
    kept = sum(path.stat().st_size for path in seen.data.glob("*/p*/[0-9]*.db"))
    room = usage.free + kept - chosen.whole("disk_reserve")
    advice = (
        f"set MONITORING_RETENTION_BYTES and MONITORING_METRICS_RETENTION_BYTES to less than {room / 1e9:.0f} GB in all"
    )
    if 0 in limits:
        return warning("retention by size is off: only age bounds the store", advice)
    if sum(limits) > room:
        return warning(
            f"retention keeps up to {sum(limits) / 1e9:.0f} GB, and there is room for {max(0, room) / 1e9:.0f}", advice
        )
    return ok(f"retention keeps up to {sum(limits) / 1e9:.0f} GB of the {room / 1e9:.0f} there is room for")


def file_modes_closed(seen: Examined) -> Finding:
    """Keys and the bus's password are for their owner only."""
    open_ = [
        path for path in (seen.data, *(seen.data / name for name in _SECRET_FILES))
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & (0o022 if path == seen.data else 0o077)
    ]  # fmt: skip
    if open_:
        names = " ".join(str(path) for path in open_)
        return problem(f"others may read or change {names}", f"chmod go-rwx {names}; if that was so for long: new keys")
    return ok("keys are for their owner only")


def files_may_be_open(seen: Examined) -> Finding:
    """How many files a process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _OPEN_FILES:
        return warning(
            f"a process may have {soft} files open",
            f"ulimit -n {_OPEN_FILES}, or LimitNOFILE={_OPEN_FILES} in the unit of systemd",
        )
    return ok(f"a process may have {soft:,} files open" if soft != resource.RLIM_INFINITY else "files without a limit")


def port_free(seen: Examined) -> Finding:
    """Whether the API can listen, or does."""
    host, port = seen.settings.text("host"), seen.settings.whole("port")
    if seen.running:
        return ok("`monitoring up` runs here")
    if port > 65535:  # the system's own functions would cut it to 16 bits
        return problem(f"MONITORING_PORT={port}: a port is at most 65535", "set it to one that is free, like 8321")
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        socket.create_server(where[:2], family=family).close()
    except socket.gaierror as error:
        return problem(f"MONITORING_HOST={host} is no address: {error.strerror}", "set it to one of this machine's")
    except OSError as error:
        if error.errno == errno.EADDRINUSE and _is_ours(host, port):
            return ok(f"a monitoring API listens on port {port}")
        return problem(
            f"{host}:{port} cannot be used: {error.strerror}",
            f"end what listens there (ss -ltnp 'sport = :{port}' names it), or set MONITORING_PORT",
        )
    return ok(f"{host}:{port} is free")


def _is_ours(host: str, port: int) -> bool:
    """Whether what listens there answers as our API does."""
    try:
        with socket.create_connection((reachable(host), port), 2.0) as connection:
            connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            connection.settimeout(2.0)
            return b"application/json" in connection.recv(2048)
    except OSError:
        return False
