"""`/api/v1/dead-letters`: what could not be stored as an event, and sending it again."""

from __future__ import annotations

from typing import Any

from monitoring.api.params import OneOf, Whole
from monitoring.api.problems import Problem
from monitoring.api.routes import Answer, Call, Route
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.replay import describe, replay_once
from monitoring.pipeline.store import dead_letters
from monitoring.pipeline.store.dead_letters import KINDS, Letter

__all__ = ["ROUTES", "listing", "one", "replay"]

LIMIT = Whole("limit", "letters", default=100, most=1000)
KIND = OneOf("kind", "only these", choices=tuple(KINDS))


def listing(call: Call) -> Answer:
    """The newest dead letters first, their raw bytes cut short; `total` counts all that are kept."""
    limit, kind = LIMIT.of(call.params), KIND.of(call.params)
    replayed = call.runtime.replays.done()
    found = dead_letters.letters(call.runtime.catalog, limit=limit, kind=kind)
    total = dead_letters.count(call.runtime.catalog)
    return {"dead_letters": [describe(letter, replayed) for letter in found], "total": total}


def one(call: Call, letter_id: str) -> Answer:
    """One dead letter with all of its raw bytes."""
    return describe(_letter(call, letter_id), call.runtime.replays.done(), whole=True)


def replay(call: Call, letter_id: str) -> Answer:
    """Send a dead letter's events again and wait until they are stored: once, however often this is asked."""
    letter = _letter(call, letter_id)
    runtime = call.runtime
    answer: dict[str, Any] = {"id": letter.id}
    try:
        events, before = replay_once(letter, runtime.transport, runtime.replays, instance=runtime.catalog.instance)
    except PermanentError as error:
        raise Problem(
            422, str(error), field="id", fix="it stays where it is; a later release may understand it"
        ) from error
    except TimeoutError as error:
        raise Problem(503, str(error), fix="ask again: it is stored once", retry_after=5) from error
    return {**answer, "events": events, "replayed_before": before}


def _letter(call: Call, letter_id: str) -> Letter:
    found = dead_letters.find(call.runtime.catalog, letter_id)
    if found is None:
        raise Problem(404, "there is no such dead letter", field="id", fix="GET /api/v1/dead-letters lists them")
    return found


ROUTES = (
    Route("GET", "/api/v1/dead-letters", "admin", listing, (LIMIT, KIND)),
    Route("GET", "/api/v1/dead-letters/<letter_id>", "admin", one),
    Route("POST", "/api/v1/dead-letters/<letter_id>/replay", "admin", replay, audit="dead-letter.replay"),
)
