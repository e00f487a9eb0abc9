"""What is known of events from where they come from: the settings, a file's name, the machine."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from monitoring.pipeline.clock import DAY_NS

__all__ = ["Defaults", "file_stem", "host_name"]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What is known of an event from where it came from.

    `service` is the setting and wins over the event's own; `fallback_service` is the key's name, the file's
    stem or the program's, for events that name none. `zone` is that of times without one (None: this
    machine's local time). `received_ns` is the time of events without one and, with a day's grace, the
    latest possible. `reference_ns`, if set, is the latest for times without year or date: a file's last change.
    """

    received_ns: int
    service: str = ""
    fallback_service: str = ""
    environment: str = ""
    release: str = ""
    host: str = ""
    zone: tzinfo | None = UTC
    reference_ns: int = 0
    latest_ns: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "latest_ns", self.received_ns + DAY_NS)
        if not self.reference_ns:
            object.__setattr__(self, "reference_ns", self.received_ns)


_SUFFIXES = re.compile(r"(?:\.(?:gz|zst|bz2|xz|log|txt|json|jsonl|ndjson|out|err|\d{1,8})|-\d{8})+$", re.IGNORECASE)


def file_stem(name: str) -> str:
    """The service that a file's name tells: `/var/log/app.log.2.gz` is "app"."""
    base = name.replace("\\", "/").rpartition("/")[2]
    return _SUFFIXES.sub("", base) or base


def host_name() -> str:
    """This machine's name."""
    return socket.gethostname()
