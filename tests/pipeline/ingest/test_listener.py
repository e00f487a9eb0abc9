"""The syslog server over real sockets: nothing lost by TCP while the publisher is full, datagrams counted."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence

import trustme

from monitoring.pipeline.errors import BusFull
from monitoring.pipeline.events.event import Event, Rejected
from monitoring.pipeline.ingest.listener import Listener


class Sink:
    """Takes what a publisher would take; `room` is how many events fit."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.events: list[Event] = []
        self.room = room

    def emit_all(self, events: Sequence[Event], rejected: Sequence[Rejected]) -> bool:
        if len(self.events) + len(events) > self.room:
            raise BusFull("full")
        self.events += events
        return True

    @property
    def messages(self) -> list[str]:
        return [event.message for event in self.events]


def bound(kind: socket.SocketKind) -> socket.socket:
    found = socket.socket(socket.AF_INET, kind)
    found.bind(("127.0.0.1", 0))
    if kind is socket.SOCK_STREAM:
        found.listen()
    found.setblocking(False)
    return found


@contextlib.asynccontextmanager
async def listening(
    sink: Sink, tls: ssl.SSLContext | None = None, max_connections: int = 10
) -> AsyncIterator[tuple[Listener, int, int]]:
    """A listener, its TCP port and its UDP port."""
    listener = Listener(sink.emit_all, max_connections=max_connections)
    tcp, udp = bound(socket.SOCK_STREAM), bound(socket.SOCK_DGRAM)
    ports = tcp.getsockname()[1], udp.getsockname()[1]
    await listener.add_tcp(tcp, tls)
    await listener.add_udp(udp)
    try:
        yield listener, *ports
    finally:
        await listener.stop()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def test_connections_and_datagrams_end_in_the_publisher() -> None:
    async def scenario() -> None:
        sink = Sink()
        async with listening(sink) as (listener, tcp, udp):
            with socket.create_connection(("127.0.0.1", tcp)) as client:
                client.sendall(b"<34>one line\n<34>another\n13 <34>counted 1")
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
                    datagrams.sendto(b"<34>datagram", ("127.0.0.1", udp))
                await until(lambda: len(sink.events) == 4)
                client.sendall(b"<34>at the end")
            await until(lambda: len(sink.events) == 5)
        assert sorted(sink.messages) == ["another", "at the end", "counted 1", "datagram", "one line"]
        assert {event.host for event in sink.events} == {"127.0.0.1"}
        assert (listener.counts.events, listener.counts.dropped) == (5, 0)

    asyncio.run(scenario())


def test_a_full_publisher_holds_connections_back_and_drops_datagrams_counted() -> None:
    async def scenario() -> None:
        sink = Sink(room=0)
        async with listening(sink) as (listener, tcp, udp):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
                datagrams.sendto(b"<34>lost", ("127.0.0.1", udp))
                await until(lambda: listener.counts.dropped)
            with socket.create_connection(("127.0.0.1", tcp)) as client:
                client.setblocking(False)
                line, sent = b"<34>" + b"x" * 1000 + b"\n", 0
                with contextlib.suppress(BlockingIOError):  # the moment at which it is held back
                    while True:
                        await asyncio.sleep(0)
                        sent += client.send(line * 100)
                client.setblocking(True)
                sink.room = 1 << 30
            await until(lambda: len(sink.events) >= sent // len(line))
        assert sum(len(message) for message in sink.messages) + 5 * (sent // len(line)) in range(sent - 5, sent + 1)

    asyncio.run(scenario())


def test_tls_is_spoken_and_a_client_without_the_right_certificate_is_refused() -> None:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), authority.issue_cert("client")
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED

    async def send(context: ssl.SSLContext, port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(b"16 <34>over the tls")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def scenario() -> None:
        sink = Sink()
        async with listening(sink, server) as (_, tcp, _):
            context = ssl.create_default_context()
            authority.configure_trust(context)
            with contextlib.suppress(OSError):
                await send(context, tcp)
            client.configure_cert(context)
            await send(context, tcp)
            await until(lambda: sink.events)
        assert sink.messages == ["over the tls"]

    asyncio.run(scenario())


def test_more_connections_than_allowed_are_closed_at_once() -> None:
    async def scenario() -> None:
        sink = Sink()
        async with listening(sink, max_connections=1) as (listener, tcp, _):
            first = socket.create_connection(("127.0.0.1", tcp))
            await until(lambda: listener.counts.connections)
            second = socket.create_connection(("127.0.0.1", tcp))
            await until(lambda: listener.counts.refused_connections)
            assert await asyncio.to_thread(second.recv, 1) == b""
            first.sendall(b"<34>still heard\n")
            await until(lambda: sink.events)
            first.close()
            second.close()

    asyncio.run(scenario())


def test_a_stop_keeps_what_has_arrived_on_connections_that_stay_open() -> None:
    async def scenario() -> None:
        sink = Sink()
        async with listening(sink) as (listener, tcp, _):
            client = socket.create_connection(("127.0.0.1", tcp))
            await until(lambda: listener.counts.connections)
            client.sendall(b"<34>line\n<34>no end")
        client.close()
        assert sink.messages == ["line", "no end"]

    asyncio.run(scenario())
