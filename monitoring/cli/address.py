"""Where the API listens: bound before anything starts, so that a taken port is found out first."""

from __future__ import annotations

import errno
import socket
from contextlib import closing

from monitoring.pipeline.addresses import reachable, url_of
from monitoring.pipeline.errors import AlreadyRunning, SettingsError
from monitoring.pipeline.settings import Settings

__all__ = ["address", "answers", "listen"]


def listen(settings: Settings) -> socket.socket:
    """The listening socket of MONITORING_HOST and MONITORING_PORT (0: any free port).

    Raises AlreadyRunning where the port is taken, SettingsError where the address is none of this machine.
    """
    host, port = settings.text("host"), settings.whole("port")
    if port > 65535:
        raise SettingsError(f"MONITORING_PORT={port}: a port is at most 65535")
    try:
        (family, _, _, _, where), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return socket.create_server(where[:2], family=family, backlog=1024)
    except socket.gaierror as error:
        raise SettingsError(f"MONITORING_HOST={host}: {error.strerror}") from error
    except PermissionError as error:
        raise SettingsError(f"MONITORING_PORT={port}: not permitted; ports below 1024 are the system's") from error
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise SettingsError(f"MONITORING_HOST={host}: {error.strerror}") from error
        raise AlreadyRunning(
            f"{host}:{port} is taken ({error.strerror}): end what listens there, or set MONITORING_PORT"
        ) from error


def address(listener: socket.socket) -> str:
    """The URL of a listening socket, as one would type it on this machine."""
    return url_of(*listener.getsockname()[:2])


def answers(listener: socket.socket, path: str, *, timeout_seconds: float) -> int:
    """The status with which the API answers a GET; 0 where it does not in time."""
    host, port = listener.getsockname()[:2]
    host = reachable(host)
    try:
        with closing(socket.create_connection((host, port), timeout_seconds)) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            return int(connection.recv(64).split()[1])
    except (OSError, ValueError, IndexError):
        return 0
