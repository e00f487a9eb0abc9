"""Deliveries for tests of channels."""

from __future__ import annotations

from typing import Any

from monitoring.consumers.channels.sending import Sending, send
from monitoring.consumers.message import compose
from monitoring.pipeline.store.channel_kinds import KINDS, check_config
from monitoring.pipeline.store.channels import Channel
from monitoring.pipeline.store.outbox import Message, Notice
from tests.notices import notice

CREATED_NS = 1_767_323_045 * 10**9


def sending(
    kind: str, config: dict[str, Any], *notices: Notice, progress: str = "", environ: dict[str, str] | None = None
) -> Sending:
    """A delivery of these notices through a channel of this kind."""
    check_config(kind, config)
    hidden = {field.name for field in KINDS[kind] if field.secret}
    secrets = {name: value for name, value in config.items() if name in hidden}
    shown = {name: value for name, value in config.items() if name not in hidden}
    channel = Channel("c", kind, shown, secrets, False, True, 1, 1)
    told = notices or (notice("c"),)
    message = Message(told[0].key, "c", tuple(told), CREATED_NS, 1, progress)
    return Sending(channel, message, compose(message, "https://mon.example"), True, CREATED_NS, environ or {})


def deliver(kind: str, config: dict[str, Any], *notices: Notice, **more: Any) -> str:
    """Send them; what the far end said."""
    return send(sending(kind, config, *notices, **more))
