"""One HTTP request to a checked address: pinned, without redirects, bounded in time and size.

The name goes into the Host header and TLS (SNI and certificate), the connection to an address that was checked.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from monitoring.consumers.channels.outcome import Refused, TryLater, retry_after_seconds, shorten
from monitoring.pipeline.errors import RetryableError
from monitoring.pipeline.targets import Resolver, Target, TargetRefused, parse_target, resolve

__all__ = ["CONNECT_SECONDS", "TOTAL_SECONDS", "Reply", "deliver", "exchange"]

CONNECT_SECONDS = 5.0
"""For each address: a far end that takes longer to answer a SYN is down."""
TOTAL_SECONDS = 15.0
"""From the first byte to the last: chat services answer within one, and an alert must not wait for one that hangs."""
_MOST_BYTES = 64 << 10
"""Of an answer: only its status and first line are used."""
_LATER = frozenset((408, 421, 425, 429))
"""Refusals of the moment among the 4xx: timeout, misdirected, too early, too many requests."""


class Reply(NamedTuple):
    """What the far end answered: `text` is the beginning of its body."""

    status: int
    text: str
    retry_after: float | None


class _Pinned(http.client.HTTPConnection):
    """A connection to a checked address that speaks as if to the name."""

    def __init__(self, target: Target, addresses: list[str]) -> None:
        super().__init__(target.host, target.port, timeout=TOTAL_SECONDS)
        self._target, self._addresses = target, addresses

    def connect(self) -> None:
        """The first address that answers, then TLS with the name."""
        problem: OSError = OSError("no address")
        for address in self._addresses:
            try:
                self.sock = socket.create_connection((address, self._target.port), CONNECT_SECONDS)
                break
            except OSError as error:
                problem = error
        else:
            raise problem
        self.sock.settimeout(TOTAL_SECONDS)
        if self._target.scheme == "https":
            context = ssl.create_default_context()
            wrapped = context.wrap_socket(self.sock, server_hostname=self._target.host, do_handshake_on_connect=False)
            self.sock = wrapped  # before the handshake, which must be cut as well when it takes too long
            wrapped.do_handshake()


def exchange(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str],
    allow_private: bool,
    resolver: Resolver | None = None,
    total_seconds: float = TOTAL_SECONDS,
) -> Reply:
    """The answer to one request, whatever its status. Raises TargetRefused, or RetryableError where none came."""
    target = parse_target(url)
    connection = _Pinned(target, resolve(target, allow_private=allow_private, resolver=resolver))
    sent = {"Host": target.host_header, "User-Agent": "monitoring", "Connection": "close", **headers}
    try:
        with _ended_after(connection, total_seconds):
            connection.request(method, target.path, body=body, headers=sent)
            answer = connection.getresponse()
            return Reply(answer.status, _beginning(answer), retry_after_seconds(answer.getheader("Retry-After")))
    except (OSError, http.client.HTTPException) as error:
        raise RetryableError(
            f"{target.host}:{target.port} does not answer: {shorten(str(error) or repr(error))}"
        ) from error
    finally:
        connection.close()


def _beginning(answer: http.client.HTTPResponse) -> str:
    """What there is of a body: the status has said what becomes of the message."""
    try:
        return shorten(answer.read(_MOST_BYTES).decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException):
        return ""


@contextlib.contextmanager
def _ended_after(connection: http.client.HTTPConnection, seconds: float) -> Iterator[None]:
    """Cut the connection then, however busily the far end trickles: a socket's own timeout is for each byte."""

    def cut() -> None:
        with contextlib.suppress(OSError):
            if connection.sock is not None:
                connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def deliver(
    url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool, resolver: Resolver | None = None
) -> str:
    """POST a message; what the far end said. Raises Refused or TryLater."""
    try:
        reply = exchange("POST", url, body=body, headers=headers, allow_private=allow_private, resolver=resolver)
    except (TargetRefused, ValueError) as error:  # ValueError: a header that no request can have
        raise Refused(str(error)) from error
    except RetryableError as error:
        raise TryLater(str(error)) from error
    said = f"{reply.status} {reply.text}".strip()
    if 200 <= reply.status < 300:
        return said
    if 300 <= reply.status < 400:
        raise Refused(f"the far end redirects, which is not followed: {said}")
    if reply.status in _LATER or reply.status >= 500:
        raise TryLater(f"the far end answered {said}", after_seconds=reply.retry_after)
    raise Refused(f"the far end answered {said}")
