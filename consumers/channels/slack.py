"""Slack by incoming webhook: a block for each alert, in the colour of its severity."""

from __future__ import annotations

from typing import Any

import orjson

from monitoring.consumers.channels.http import deliver
from monitoring.consumers.channels.sending import Sending
from monitoring.consumers.message import Alert, Content, colour

__all__ = ["payload", "send"]

_LONGEST_TEXT = 3000
"""Of a section, by Slack's reference of blocks."""
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_MARKS = {"firing": ":rotating_light:", "resolved": ":white_check_mark:", "escalated": ":rotating_light:"}


def send(sending: Sending) -> str:
    """POST a message. Raises Refused or TryLater."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": sending.message.id}
    body = orjson.dumps(payload(sending.content))
    return deliver(str(sending.value("url")), body, headers, allow_private=sending.allow_private)


def payload(content: Content) -> dict[str, Any]:
    """The message as Slack takes it; `text` is what a phone's notification shows."""
    attachments = [
        {
            "color": colour(alert.severity, resolved=alert.event == "resolved"),
            "fallback": _escaped(alert.summary),
            "blocks": _blocks(alert),
        }
        for alert in content.alerts
    ]
    if content.more:
        attachments.append(
            {"color": "#555555", "blocks": [_section(f"and {content.more} more: {_link('all', content.link)}")]}
        )
    return {"text": _escaped(content.title), "attachments": attachments, "unfurl_links": False}


def _blocks(alert: Alert) -> list[dict[str, Any]]:
    head = f"{_MARKS.get(alert.event, ':bell:')} *{_escaped(alert.word)}: {_escaped(alert.summary)}*"
    words = f"\n{_escaped(alert.description)}" if alert.description else ""
    blocks = [_section(head + words)]
    facts = "\n".join(f"*{name}* {_escaped(value)}" for name, value in alert.facts())
    if facts:
        blocks.append(_section(facts))
    if alert.samples:
        lines = _escaped("\n".join(alert.samples).replace("`", "'"))
        blocks.append(_section(f"```{lines[: _LONGEST_TEXT - 6]}```"))
    links = " · ".join(_link(name, link) for name, link in alert.links.items())
    if links:
        blocks.append(_section(links))
    return blocks


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:_LONGEST_TEXT]}}


def _escaped(text: str) -> str:
    """As Slack's guide has it: nothing in an alert can mention a channel or make a link."""
    return text.translate(_ESCAPES)


def _link(name: str, link: str) -> str:
    if not link.startswith(("http://", "https://")) or "|" in link:
        return _escaped(name)
    return f"<{_escaped(link)}|{_escaped(name)}>"
