"""Sending a dead letter again, once for good, and telling people what it is."""

from __future__ import annotations

import base64
from collections.abc import Set as AbstractSet
from typing import Any

from monitoring.pipeline.bus.streams import Transport
from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.events.lenient import Defaults, event_from_json_line
from monitoring.pipeline.events.signals import Row
from monitoring.pipeline.ingest.metric_items import delta_from_json_line
from monitoring.pipeline.store import dead_letters
from monitoring.pipeline.store.dead_letters import Letter
from monitoring.pipeline.store.promises import Replays

__all__ = ["PREVIEW_BYTES", "describe", "replay_once"]

PREVIEW_BYTES = 400
"""Of the raw bytes in a list: enough to recognise a line."""


def replay_once(
    letter: Letter, transport: Transport, replays: Replays, *, instance: str, timeout_seconds: float = 10.0
) -> tuple[int, bool]:
    """Send a letter's events again unless that was done; how many, and whether it was done before.

    The frame is the same however often this is tried: its time is on record before it is sent. Raises as
    `dead_letters.replay` does.
    """
    record = replays.begin(letter.id)
    if record.events is not None:
        return record.events, True

    read = delta_from_json_line if letter.signal == "metrics" else event_from_json_line

    def parse(raw: bytes) -> Row:
        return read(raw, Defaults(received_ns=letter.content.created))

    events = dead_letters.replay(
        letter, transport, instance=instance, parse=parse, now_ns=record.created, timeout_seconds=timeout_seconds
    )
    replays.finish(letter.id, events)
    return events, False


def describe(letter: Letter, replayed: AbstractSet[str], *, whole: bool = False) -> dict[str, Any]:
    """A letter as JSON members; `raw` is text where it is UTF-8, else base64, and cut short unless `whole`."""
    content = letter.content
    raw = content.raw if whole else content.raw[:PREVIEW_BYTES]
    try:
        text, encoding = raw.decode(), "utf-8"
    except UnicodeDecodeError as error:
        if not whole and error.start > len(raw) - 4 and len(content.raw) > len(raw):  # cut inside a character
            text, encoding = raw[: error.start].decode(), "utf-8"
        else:
            text, encoding = base64.b64encode(raw).decode(), "base64"
    return {
        "id": letter.id,
        "created": rfc3339(content.created),
        "kind": content.kind,
        "reason": content.reason,
        "source": content.source,
        "line": content.line,
        "lane": content.lane,
        "seq": content.seq,
        "replayed": letter.id in replayed,
        "raw_bytes": len(content.raw),
        "raw_encoding": encoding,
        "raw": text,
    }
