"""One delivery: a message, its content, and the channel that it goes out through."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitoring.consumers.channels.outcome import Refused
from monitoring.consumers.message import Content
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.store.channels import Channel
from monitoring.pipeline.store.outbox import Message

__all__ = ["Sending", "send"]

_MODULES = {
    "email": "monitoring.consumers.channels.email",
    "slack": "monitoring.consumers.channels.slack",
    "webhook": "monitoring.consumers.channels.webhook",
    "apprise": "monitoring.consumers.channels.apprise",
}


@dataclass(frozen=True, slots=True)
class Sending:
    """What a channel's `send` is given. `environ` is where secrets of the environment stand."""

    channel: Channel
    message: Message
    content: Content
    allow_private: bool
    now_ns: int
    environ: Mapping[str, str]

    def value(self, name: str) -> Any:
        """A member of the channel's config in clear, None where it has none. Raises Refused."""
        try:
            return self.channel.value(name, self.environ)
        except PermanentError as error:
            raise Refused(str(error)) from error


def send(sending: Sending) -> str:
    """Deliver; what the far end said. Raises Refused (for good), TryLater, or whatever nobody foresaw."""
    if sending.channel.problem:
        raise Refused(sending.channel.problem)
    reply: str = importlib.import_module(_MODULES[sending.channel.kind]).send(sending)
    return reply
