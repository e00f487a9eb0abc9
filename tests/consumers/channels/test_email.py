"""Mail to a real SMTP server."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from monitoring.consumers.channels import email
from monitoring.consumers.channels.outcome import Refused, TryLater
from tests.consumers.channels.support import deliver
from tests.mailbox import Mailbox, receiving
from tests.notices import notice


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with receiving() as box:
        yield box


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's TLS whose authority this process trusts, as an operator's SSL_CERT_FILE has it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def config(box: Mailbox, *to: str, **more: Any) -> dict[str, Any]:
    recipients = list(to or ["Ops <ops@example.com>", "boss@example.com"])
    return {"server": "localhost", "port": box.port, "from": "Monitoring <mon@example.com>", "to": recipients} | more


def test_a_mail_says_what_where_since_when_how_much_and_where_to_click_in_text_and_html(box: Mailbox) -> None:
    assert deliver("email", config(box)) == "250 taken for 2 of 2"
    (mail,) = box.mails
    assert box.recipients == [["ops@example.com", "boss@example.com"]]
    assert mail["Subject"] == "[CRITICAL] Responses are slow (service=api, host=web1)"
    assert mail["To"] == "Ops <ops@example.com>, boss@example.com"
    for kind in ("plain", "html"):
        part = mail.get_body((kind,))
        assert part is not None
        text = part.get_content()
        for expected in (
            "Responses are slow", "service=api, host=web1", "2026-01-02T03:04:05Z", "upstream timed out",
            "trace_id=4bf92f3577b34da6a3ce929d0e0e4736", "run_id=ft-17", "https://mon.example/alerts/a1?acknowledge",
        ):  # fmt: skip
            assert expected in text, kind
        assert "7.25 (threshold 5)" in text


def test_mails_of_one_alert_are_one_thread_and_each_try_is_the_same_mail(box: Mailbox) -> None:
    first, again = notice("c"), notice("c")
    deliver("email", config(box), first)
    deliver("email", config(box), again)
    deliver("email", config(box), notice("c", number=2, event="resolved"))
    deliver("email", config(box), notice("c", "a2"))
    ids = [mail["Message-ID"] for mail in box.mails]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    roots = [mail["References"] for mail in box.mails]
    assert roots[0] == roots[1] == roots[2] == box.mails[0]["In-Reply-To"]
    assert roots[3] != roots[0]
    assert box.mails[2]["Subject"].startswith("[RESOLVED] ")
    assert all(mail["Date"] == box.mails[0]["Date"] for mail in box.mails)


def test_no_header_can_be_made_by_what_an_alert_says(box: Mailbox) -> None:
    evil = "x\r\nBcc: victim@example.com\r\n\r\n<script>alert(1)</script>\u2028y\x00"
    notes = {"summary": evil, "description": evil}
    deliver("email", config(box, "a@example.com"), notice("c", rule=evil, annotations=notes, labels={evil: evil}))
    (mail,) = box.mails
    assert mail["Bcc"] is None
    assert box.recipients == [["a@example.com"]]
    page = mail.get_body(("html",))
    assert page is not None
    assert "<script>" not in page.get_content()


def test_it_logs_in_over_starttls(certificate: ssl.SSLContext) -> None:
    with receiving(tls=certificate, login="me", password="pass word") as box:
        deliver("email", config(box, username="me", password={"env": "PW"}), environ={"PW": "pass word"})
        assert box.secure == [True]
        assert box.logins == ["me"]
        with pytest.raises(Refused, match="535"):
            deliver("email", config(box, username="me", password="wrong"))


def test_a_server_whose_certificate_is_not_trusted_gets_nothing(
    certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with receiving(tls=certificate) as box:
        with pytest.raises(TryLater, match="certificate"):
            deliver("email", config(box))
        assert box.mails == []


def test_a_password_does_not_leave_the_machine_in_the_clear_unless_that_is_asked_for(
    box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for security in ("none", "auto"):
        with receiving(login="me", password="p") as open_box:
            deliver("email", config(open_box, username="me", password="p", security=security))
            assert open_box.logins == ["me"]
    deliver("email", config(box, username="me", password="p"))  # a relay on this machine that knows no logins
    assert len(box.mails) == 1
    monkeypatch.setattr(email, "is_loopback", lambda server: False)  # a test has no other machine to connect to
    with pytest.raises(Refused, match="STARTTLS"):
        deliver("email", config(box, username="me", password="p"))
    assert len(box.mails) == 1


def test_who_is_refused_for_now_is_tried_again_alone(box: Mailbox) -> None:
    box.refuse = {"boss@example.com": "450 greylisted"}
    with pytest.raises(TryLater, match="greylisted") as caught:
        deliver("email", config(box))
    assert box.recipients == [["ops@example.com"]]
    box.refuse = {}
    deliver("email", config(box), progress=caught.value.progress)
    assert box.recipients == [["ops@example.com"], ["boss@example.com"]]


def test_who_is_refused_for_good_holds_up_nobody_and_is_told(box: Mailbox) -> None:
    box.refuse = {"boss@example.com": "550 unknown"}
    assert "550" in deliver("email", config(box))
    assert box.recipients == [["ops@example.com"]]
    box.refuse["ops@example.com"] = "550 unknown"
    with pytest.raises(Refused, match="every recipient"):
        deliver("email", config(box))


@pytest.mark.parametrize(("answer", "kind"), [("451 later", TryLater), ("554 no", Refused)])
def test_what_the_server_says_of_the_mail_decides_whether_it_is_tried_again(
    box: Mailbox, answer: str, kind: type[Exception]
) -> None:
    box.answer = answer
    with pytest.raises(kind, match=answer[:3]):
        deliver("email", config(box))


def test_a_server_that_is_down_or_dies_before_it_answers_is_tried_again(box: Mailbox) -> None:
    box.die = 1
    with pytest.raises(TryLater):
        deliver("email", config(box))
    box.stop()
    with pytest.raises(TryLater, match="does not answer"):
        deliver("email", config(box))
    box.start()
    deliver("email", config(box))
    assert box.mails[0]["Message-ID"] == box.mails[1]["Message-ID"]
