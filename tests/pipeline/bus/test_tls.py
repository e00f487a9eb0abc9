"""A bus behind TLS and a password: the URL is all that has to be said."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading

import pytest
import trustme

from monitoring.pipeline.bus.streams import Streams, StreamTransport, connect
from monitoring.pipeline.errors import BusRefused, BusUnavailable
from tests.frames import Sender, event


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


class TlsFront:
    """Terminates TLS in front of a server on a unix socket, as stunnel or a cloud's endpoint does."""

    def __init__(self, upstream: str, context: ssl.SSLContext) -> None:
        self._upstream, self._context = upstream, context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(plain,), daemon=True).start()

    def _carry(self, plain: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.suppress(OSError))
            near = stack.enter_context(self._context.wrap_socket(plain, server_side=True))
            far = stack.enter_context(socket.socket(socket.AF_UNIX))
            far.connect(self._upstream)
            back = threading.Thread(target=pump, args=(far, near), daemon=True)
            back.start()
            pump(near, far)
            back.join()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def front(valkey_servers, tmp_path):
    server = valkey_servers()
    with contextlib.closing(connect(server.url)) as client:
        client.config_set("requirepass", "hunter2")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    made = TlsFront(str(server.socket), context)
    yield f"127.0.0.1:{made.port}", tmp_path / "ca.pem"
    made.close()


def test_frames_travel_over_tls_with_a_password_and_a_checked_certificate(front):
    address, authority = front
    client = connect(f"rediss://:hunter2@{address}/0?ssl_ca_certs={authority}")
    streams, transport = Streams(client), StreamTransport(client, stream_length=10)
    streams.announce({"logs": 2}, "instance")
    sender = Sender()
    assert len(transport.publish("logs", 0, sender.lane, [sender.frame([event(1)])]).ids) == 1
    assert streams.length("logs", 0) == 1
    client.close()


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(front):
    address, _ = front
    with contextlib.closing(connect(f"rediss://:hunter2@{address}/0")) as client, pytest.raises(BusUnavailable):
        StreamTransport(client, stream_length=10).partitions("logs")


def test_a_wrong_password_is_told_from_a_server_that_is_away(front):
    address, authority = front
    client = connect(f"rediss://:wrong@{address}/0?ssl_ca_certs={authority}")
    with contextlib.closing(client), pytest.raises(BusRefused, match="credentials"):
        StreamTransport(client, stream_length=10).partitions("logs")
