"""Mail over SMTP: text and HTML, threaded by alert.

Every mail of an alert refers to the same root and to the mails before it, so that a mail program shows them as one
thread; its Message-ID is made of the message's id, so that one that came twice can be recognised. Who refuses for now
is tried again alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import logging
import smtplib
import socket
import ssl
from collections.abc import Iterator, Mapping
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, parseaddr

import orjson

from monitoring.consumers.channels.outcome import Refused, TryLater, shorten
from monitoring.consumers.channels.sending import Sending
from monitoring.consumers.message import to_html, to_text

__all__ = ["compose_mail", "is_loopback", "send"]

_log = logging.getLogger("monitoring.notify")

TIMEOUT_SECONDS = 15.0
"""For each answer of the server: greylisting ones and virus scanners take some seconds."""
_PORT = 587
_TLS_PORT = 465
_MOST_REFERENCES = 10


def send(sending: Sending) -> str:
    """Mail a message to all who have not had it. Raises Refused or TryLater."""
    done: list[str] = orjson.loads(sending.message.progress) if sending.message.progress else []
    everybody = [parseaddr(text)[1] for text in sending.value("to")]
    left = [address for address in everybody if address not in done]
    try:
        with _server(sending) as server:
            refused = _transfer(server, sending, left)
    except smtplib.SMTPConnectError as error:
        raise TryLater(f"the mail server refuses connections: {_said(error)}") from error
    except smtplib.SMTPResponseException as error:
        kind = Refused if error.smtp_code >= 500 else TryLater
        raise kind(f"the mail server answered {_said(error)}") from error
    except smtplib.SMTPNotSupportedError as error:
        raise Refused(f"the mail server cannot do this: {shorten(str(error))}") from error
    except (OSError, smtplib.SMTPException) as error:
        raise TryLater(f"the mail server does not answer: {shorten(str(error) or repr(error))}") from error
    return _judge(refused, left, done)


def _transfer(server: smtplib.SMTP, sending: Sending, left: list[str]) -> Mapping[str, tuple[int, bytes]]:
    """Hand the mail over; who was refused, with code and text."""
    mail = compose_mail(sending)
    try:
        return server.send_message(mail, parseaddr(str(sending.value("from")))[1], left)
    except smtplib.SMTPRecipientsRefused as error:
        return error.recipients


def _judge(refused: Mapping[str, tuple[int, bytes]], left: list[str], done: list[str]) -> str:
    gone = {address: shorten(f"{code} {text!r}") for address, (code, text) in refused.items() if code >= 500}
    later = {address: shorten(f"{code} {text!r}") for address, (code, text) in refused.items() if code < 500}
    for address, said in gone.items():
        _log.warning("%s was refused for good: %s", address, said)
    if len(gone) == len(left) and not done:
        raise Refused(f"every recipient was refused: {_listed(gone)}")
    if later:
        past = [*done, *(address for address in left if address not in later)]
        raise TryLater(f"not taken for now: {_listed(later)}", progress=orjson.dumps(past).decode())
    taken = len(left) - len(gone)
    return f"250 taken for {taken} of {len(left)}" + (f"; refused: {_listed(gone)}" if gone else "")


def _listed(refused: Mapping[str, str]) -> str:
    return ", ".join(f"{address} ({said})" for address, said in refused.items())


def _said(error: smtplib.SMTPResponseException) -> str:
    text = error.smtp_error
    return shorten(f"{error.smtp_code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}")


@contextlib.contextmanager
def _server(sending: Sending) -> Iterator[smtplib.SMTP]:
    """A session, encrypted and logged in as the channel says. Raises what smtplib raises, and Refused."""
    host, port = str(sending.value("server")), int(sending.value("port") or _PORT)
    security, username = sending.value("security") or "auto", sending.value("username")
    own_name = socket.gethostname()  # smtplib would ask the resolver, which may hang
    server = (
        smtplib.SMTP_SSL(host, port, own_name, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context())
        if security == "tls" or (security == "auto" and port == _TLS_PORT)
        else smtplib.SMTP(host, port, own_name, timeout=TIMEOUT_SECONDS)
    )
    try:
        near = is_loopback(server)
        if not isinstance(server, smtplib.SMTP_SSL):
            _encrypt(server, security, needed=bool(username) and not near)
        server.ehlo_or_helo_if_needed()  # once more where it is encrypted now: only then some offer a login
        if username and near and not server.has_extn("auth"):
            _log.info("the mail server of this machine offers no login and gets none")
        elif username:
            server.login(str(username), str(sending.value("password") or ""))
        yield server
    finally:
        with contextlib.suppress(OSError, smtplib.SMTPException):
            server.quit()
        server.close()


def _encrypt(server: smtplib.SMTP, security: str, *, needed: bool) -> None:
    server.ehlo_or_helo_if_needed()
    if security == "none":
        return
    if server.has_extn("starttls"):
        server.starttls(context=ssl.create_default_context())
    elif security == "starttls" or needed:
        raise Refused("the mail server offers no STARTTLS; `security` none would send mail and password in the clear")


def is_loopback(server: smtplib.SMTP) -> bool:
    """Whether the other end is this machine, where nobody listens in on the way: as Go's `smtp.PlainAuth` has it."""
    peer = server.sock.getpeername()[0] if server.sock is not None else ""
    return bool(peer) and ipaddress.ip_address(str(peer).partition("%")[0]).is_loopback


def compose_mail(sending: Sending) -> EmailMessage:
    """The mail: the same in every try, up to the boundary between its parts."""
    content, message = sending.content, sending.message
    domain = parseaddr(str(sending.value("from")))[1].rpartition("@")[2]
    domain = domain if domain.isascii() and domain else "monitoring.invalid"
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = content.title
    mail["From"] = str(sending.value("from"))
    mail["To"] = ", ".join(sending.value("to"))
    mail["Date"] = formatdate(message.created / 1e9)
    mail["Message-ID"] = f"<{_digest(message.id)}@{domain}>"
    roots = [f"<alert.{_digest(alert.id)}@{domain}>" for alert in content.alerts[:_MOST_REFERENCES]]
    earlier = [f"<{_digest(identity)}@{domain}>" for identity in message.earlier]
    mail["References"] = " ".join([*roots, *earlier])
    mail["In-Reply-To"] = earlier[-1] if earlier else roots[0]
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: holiday notices are not sent to us
    mail["X-Monitoring-Key"] = message.id
    mail.set_content(to_text(content))
    mail.add_alternative(to_html(content), subtype="html")
    return mail


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
