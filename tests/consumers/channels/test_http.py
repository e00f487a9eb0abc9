"""One HTTP request: pinned to the checked address, named in TLS and Host, bounded in time and size."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import trustme

from monitoring.consumers.channels.http import deliver, exchange
from monitoring.consumers.channels.outcome import Refused, TryLater, retry_after_seconds
from monitoring.pipeline.errors import RetryableError


@contextlib.contextmanager
def serving(speak: Callable[[socket.socket, bytes], None], context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server on loopback that speaks raw bytes to one client; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection = listener.accept()[0]
                with connection if context is None else context.wrap_socket(connection, server_side=True) as peer:
                    speak(peer, peer.recv(1 << 16))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def loopback(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


@pytest.mark.parametrize("trusted", [True, False])
def test_the_connection_goes_to_the_checked_address_and_tls_and_host_have_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.example" if trusted else "other.example").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    named: list[str | None] = []
    context.sni_callback = lambda connection, name, _: named.append(name)
    requests: list[bytes] = []

    def speak(peer: socket.socket, request: bytes) -> None:
        requests.append(request)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        while peer.recv(1 << 16):  # to close on what is unread would take the answer back
            pass

    with serving(speak, context) as port:
        url = f"https://hooks.example:{port}/x"
        if not trusted:
            with pytest.raises(TryLater, match="certificate"):
                deliver(url, b"{}", {}, allow_private=True, resolver=loopback)
            assert requests == []
            return
        assert deliver(url, b"{}", {}, allow_private=True, resolver=loopback) == "200 hi"
    assert named == ["hooks.example"]
    assert f"\r\nHost: hooks.example:{port}\r\n".encode() in requests[0]


def test_an_endless_answer_is_read_to_a_bound() -> None:
    def speak(peer: socket.socket, request: bytes) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            peer.sendall(b"x" * 65536)

    with serving(speak) as port:
        said = deliver(f"http://x.example:{port}/", b"", {}, allow_private=True, resolver=loopback)
    assert len(said) < 400


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"])
def test_an_answer_that_trickles_is_cut_off_in_the_end_and_its_status_counts(head: bytes) -> None:
    ended = threading.Event()

    def speak(peer: socket.socket, request: bytes) -> None:
        peer.sendall(head)
        with contextlib.suppress(OSError):
            while not ended.wait(0.05):
                peer.sendall(b"" if head else b"H")

    with serving(speak) as port, contextlib.ExitStack() as stack:
        stack.callback(ended.set)
        if not head:
            stack.enter_context(pytest.raises(RetryableError))
        answered = exchange(
            "POST", f"http://x.example:{port}/", body=b"", headers={}, allow_private=True, resolver=loopback,
            total_seconds=1.0,
        )  # fmt: skip
        assert answered == (200, "", None)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_what_is_no_answer_of_http_is_a_trouble_to_try_again(answer: bytes) -> None:
    with serving(lambda peer, request: peer.sendall(answer)) as port, pytest.raises(TryLater):
        deliver(f"http://x.example:{port}/", b"", {"X": "y"}, allow_private=True, resolver=loopback)


def test_a_header_cannot_bring_another_one() -> None:
    with serving(lambda peer, request: None) as port:
        for name, value in (("X", "a\r\nEvil: yes"), ("X: y\r\nEvil", "a"), ("X", "\u2028")):
            with pytest.raises(Refused):
                deliver(f"http://x.example:{port}/", b"", {name: value}, allow_private=True, resolver=loopback)
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()


def test_retry_after_is_read_in_both_its_forms() -> None:
    assert retry_after_seconds("120") == 120
    assert retry_after_seconds("Wed, 21 Oct 2015 07:28:00 GMT", 1_445_412_470) == 10
    assert retry_after_seconds("Wed, 21 Oct 2015 07:28:00 GMT", 1_445_412_490) == 0
    for text in (None, "", "soon", "-1", "1.5", "٣"):
        assert retry_after_seconds(text) is None
