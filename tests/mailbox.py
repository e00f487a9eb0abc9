"""A real SMTP server that keeps what it takes, and can refuse recipients, go away, or die before it answers."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class Mailbox:
    """`mails` are those taken. `refuse` is an answer by recipient; `die` cuts the connection in place of an answer."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, login: str = "", password: str = "") -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.secure: list[bool] = []
        self.logins: list[str] = []
        self.refuse: dict[str, str] = {}
        self.answer = ""
        self.die = 0
        self._login, self._password = login, password
        options: dict[str, Any] = {"tls_context": tls} if tls else {}
        if login:
            options |= {"authenticator": self._authenticate, "auth_require_tls": tls is not None}
        self._options = options
        self._controller: Controller | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._controller = Controller(self, "127.0.0.1", self.port, ready_timeout=20, **self._options)
        if self.port == 0:
            self._controller = _AnyPort(self, "127.0.0.1", 0, ready_timeout=20, **self._options)
        self._controller.start()
        self.port = self._controller.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]  # it listens

    def stop(self) -> None:
        """Refuse connections from now on."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        self.logins.append(data.login.decode())
        good = (data.login.decode(), data.password.decode()) == (self._login, self._password)
        return AuthResult(success=good, handled=good)

    async def handle_RCPT(  # noqa: N802 - the name that aiosmtpd looks for
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - the same
        if self.answer:
            return self.answer
        content = envelope.content
        assert isinstance(content, bytes)
        mail = message_from_bytes(content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.recipients.append(list(envelope.rcpt_tos))
        self.secure.append(session.ssl is not None)
        if self.die:
            self.die -= 1
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return "250 taken"


class _AnyPort(Controller):
    """One that finds out its port when it listens."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]  # it listens
        super()._trigger_server()


@contextlib.contextmanager
def receiving(**options: Any) -> Iterator[Mailbox]:
    box = Mailbox(**options)
    try:
        yield box
    finally:
        box.stop()
