"""A syslog server: datagrams and connections in, events into a publisher with a spool.

    UDP  ----------------> messages -> events -> publisher (memory, spool, bus)
    TCP, TLS -> framer ->

Syslog acknowledges nothing. What was read is fsynced within the publisher's interval and from then on ends in the
store exactly once. Where the publisher is full, connections are read no further, so that TCP holds back whoever
sends; datagrams cannot be held back and are dropped, counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.errors import RetryableError
from monitoring.pipeline.events.event import Event, Rejected
from monitoring.pipeline.events.lenient import Defaults
from monitoring.pipeline.ingest.syslog import Framer, Message, read_messages

__all__ = ["MAX_CONNECTIONS", "Counts", "Listener"]

MAX_CONNECTIONS = 1000
"""Each may hold a message of 1 MiB that is not complete; a rack of servers has one each."""
_READ_BYTES = 1 << 16
_SLICE = 500
"""Messages that find room together or not at all: less than the smallest buffer that makes sense."""
_RETRY_SECONDS = 0.1
"""How often a full publisher is asked again: its flusher makes room every 0.2 s."""
_GRACE_SECONDS = 0.2
"""At the end, for what is on its way from the kernel."""
_END_SECONDS = 5.0
_DATAGRAM_BUFFER_BYTES = 8 << 20
"""Asked of the kernel, which gives what net.core.rmem_max allows: a burst of some 20,000 messages."""

EmitAll = Callable[[Sequence[Event], Sequence[Rejected]], bool]
"""`Publisher.emit_all` of one that is `required`: raises RetryableError where it is full."""


@dataclass(slots=True)
class Counts:
    """What became of what arrived. `dropped` are datagrams that found no room, and what a stop could not wait for."""

    events: int = 0
    rejected: int = 0
    dropped: int = 0
    connections: int = 0
    refused_connections: int = 0


class Listener:
    """Listens on sockets that are bound already; lives in one event loop."""

    def __init__(
        self,
        emit_all: EmitAll,
        *,
        service: str = "",
        environment: str = "",
        release: str = "",
        zone: tzinfo | None = None,
        max_connections: int = MAX_CONNECTIONS,
        now_ns: NowNs = wall_ns,
    ) -> None:
        """`service` wins over what messages name, if it is set; `zone` is that of times without one, None: local."""
        self.counts = Counts()
        self._emit_all = emit_all
        self._service, self._environment, self._release = service, environment, release
        self._zone = zone
        self._max_connections = max_connections
        self._now_ns = now_ns
        self._stopping = False
        self._servers: list[asyncio.Server] = []
        self._datagrams: list[asyncio.DatagramTransport] = []
        self._open: dict[asyncio.Task[Any], asyncio.StreamReader] = {}

    async def add_tcp(self, listening: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Take connections on this socket, with TLS where a context is given."""
        self._servers.append(await asyncio.start_server(self._serve, sock=listening, ssl=tls, limit=_READ_BYTES))

    async def add_udp(self, bound: socket.socket) -> None:
        """Take datagrams on this socket."""
        with contextlib.suppress(OSError):  # best effort: the kernel's limit
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _DATAGRAM_BUFFER_BYTES)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=bound)
        self._datagrams.append(transport)

    async def stop(self) -> None:
        """Take nothing new, keep what has arrived, close."""
        for server in self._servers:
            server.close()
        await asyncio.sleep(_GRACE_SECONDS)
        self._stopping = True
        for transport in self._datagrams:
            transport.close()
        for reader in self._open.values():
            if not reader.at_eof():
                reader.feed_eof()
        if self._open:
            _, late = await asyncio.wait(self._open, timeout=_END_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    # --- connections -----------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("a connection is served by a task")
        if len(self._open) >= self._max_connections or self._stopping:
            self.counts.refused_connections += 1
            writer.close()
            return
        self.counts.connections += 1
        self._open[task] = reader
        try:
            _keep_alive(writer)
            await self._read(reader, str((writer.get_extra_info("peername") or ("",))[0]))
        finally:
            del self._open[task]
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader, peer: str) -> None:
        framer = Framer()
        with contextlib.suppress(OSError):  # the peer is gone; what it sent before is kept
            while data := await reader.read(_READ_BYTES):
                messages = framer.push(data)
                for start in range(0, len(messages), _SLICE):
                    await self._keep(messages[start : start + _SLICE], peer)
        if rest := framer.last():
            await self._keep([rest], peer)

    async def _keep(self, messages: list[Message], peer: str) -> None:
        """Hand over, and wait while there is no room."""
        intake = read_messages(messages, self._defaults(), f"syslog:{peer}", peer)
        if not intake.events and not intake.rejected:
            return
        number = len(intake.events) + len(intake.rejected)
        try:
            while not self._offer(intake.events, intake.rejected):
                await asyncio.sleep(_RETRY_SECONDS)
        except asyncio.CancelledError:
            self.counts.dropped += number
            raise

    # --- datagrams -------------------------------------------------------------------------------------

    def take_datagram(self, data: bytes, peer: str) -> None:
        """Keep one message, or count it as dropped."""
        events, refused = read_messages([data], self._defaults(), f"syslog:{peer}", peer)
        if (events or refused) and not self._offer(events, refused):
            self.counts.dropped += 1

    # --- both ------------------------------------------------------------------------------------------

    def _offer(self, events: Sequence[Event], refused: Sequence[Rejected]) -> bool:
        """Whether the publisher took them; else they are still the caller's."""
        try:
            taken = self._emit_all(events, refused)
        except RetryableError:  # the bus or the disk is full: it may take them later
            return False
        if taken:
            self.counts.events += len(events)
            self.counts.rejected += len(refused)
        return taken

    def _defaults(self) -> Defaults:
        return Defaults(
            received_ns=self._now_ns(),
            service=self._service,
            fallback_service="syslog",
            environment=self._environment,
            release=self._release,
            zone=self._zone,
        )


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._listener.take_datagram(data, str(addr[0]))


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    """Have the kernel find out about peers that vanished, in about two minutes: their connections would stay open."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 20), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
