"""Checks of what tells people: mail, Slack, links in notifications."""

from __future__ import annotations

import ipaddress
import smtplib
import ssl
from urllib.parse import urlsplit

from monitoring.pipeline.addresses import public_url
from monitoring.pipeline.doctor.finding import Examined, Finding, ok, problem, warning
from monitoring.pipeline.store.channels import of_environment

__all__ = ["mail_server_answers", "public_url_reachable", "slack_webhook_right"]

_TIMEOUT_SECONDS = 5.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""A password does not leave the machine on its way to these."""
_SLACK_HOSTS = ("hooks.slack.com", "hooks.slack-gov.com")


def mail_server_answers(seen: Examined) -> Finding:
    """Whether mail can be handed over; no mail is sent and nobody logs in."""
    channel = of_environment(seen.settings).get("email")
    if channel is None:
        return ok("ENABLE_EMAIL_ALERTS is off")
    if channel.problem:
        return problem(channel.problem, "set it, or leave ENABLE_EMAIL_ALERTS out")
    host, port = seen.settings.text("smtp_server"), seen.settings.whole("smtp_port")
    try:
        if port == 465:
            context = ssl.create_default_context()
            with smtplib.SMTP_SSL(host, port, "doctor", timeout=_TIMEOUT_SECONDS, context=context) as server:
                server.noop()
        else:
            with smtplib.SMTP(host, port, "doctor", timeout=_TIMEOUT_SECONDS) as server:
                server.ehlo()
                if host not in LOOPBACK and seen.settings.text("smtp_username") and not server.has_extn("starttls"):
                    return problem(
                        f"{host}:{port} offers no STARTTLS, and a password would go in the clear",
                        "use port 587 or 465 of the mail server, or leave SMTP_USERNAME out",
                    )
    except (OSError, smtplib.SMTPException) as error:
        return problem(
            f"{host}:{port} does not answer as a mail server: {error}",
            "correct SMTP_SERVER and SMTP_PORT (587 or 465), or let this machine through its firewall",
        )
    return ok(f"{host}:{port} answers; `monitoring channels test email` sends a mail")


def slack_webhook_right(seen: Examined) -> Finding:
    """Whether the webhook looks like one. It is a secret: not shown, and not called."""
    channel = of_environment(seen.settings).get("slack")
    if channel is None:
        return ok("ENABLE_SLACK_ALERTS is off")
    advice = "copy it from the Slack app's page, like https://hooks.slack.com/services/T…/B…/…"
    if channel.problem:
        return problem(channel.problem, advice)
    parts = urlsplit(seen.settings.text("slack_webhook_url"))
    if parts.scheme != "https":
        return problem("SLACK_WEBHOOK_URL is not https: the secret would go in the clear", advice)
    if parts.hostname in _SLACK_HOSTS and len([part for part in parts.path.split("/") if part]) != 4:
        return problem("SLACK_WEBHOOK_URL is cut: its path has not the four parts of a webhook's", advice)
    if parts.hostname not in _SLACK_HOSTS:
        return warning(f"SLACK_WEBHOOK_URL goes to {parts.hostname}, which is not Slack", advice)
    return ok("SLACK_WEBHOOK_URL looks right; `monitoring channels test slack` sends a message")


def public_url_reachable(seen: Examined) -> Finding:
    """Links in notifications are opened on other machines."""
    url = public_url(seen.settings)
    host = urlsplit(url).hostname or ""
    if not of_environment(seen.settings) or not _is_loopback(host):
        return ok(f"links begin with {url}")
    return warning(
        f"links in notifications begin with {url}, which only this machine can open",
        "set MONITORING_PUBLIC_URL to the address that people use",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
