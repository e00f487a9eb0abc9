"""Whatever apprise knows by URL: some hundred services, with the extra `notify` installed.

Apprise makes its own connections: the check of addresses that webhooks go through does not cover these.
"""

from __future__ import annotations

from monitoring.consumers.channels.outcome import Refused, TryLater
from monitoring.consumers.channels.sending import Sending
from monitoring.consumers.message import to_text

__all__ = ["send"]

_KINDS = {"critical": "failure", "warning": "warning"}


def send(sending: Sending) -> str:
    """Hand a message to apprise. Raises Refused or TryLater."""
    try:
        import apprise
    except ModuleNotFoundError as error:
        raise Refused("apprise is not installed: pip install 'monitoring-pipeline[notify]'") from error
    content = sending.content
    service = apprise.Apprise()
    if not service.add(str(sending.value("url"))):
        raise Refused("url: apprise does not know such a service, or something in it is missing")
    kind = "success" if content.resolved else _KINDS.get(content.severity, "info")
    if not service.notify(body=to_text(content), title=content.title, notify_type=kind):
        raise TryLater("apprise could not deliver; it says why in the worker's log")
    return "taken by apprise"
