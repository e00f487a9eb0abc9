"""What `monitoring.llm` told, for its tests: events as dictionaries, and what metrics stand at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from monitoring.pipeline.events import levels
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.publish.barrier import Ack
from monitoring.producers.client import Client, Resource, install
from monitoring.producers.context import clear
from monitoring.producers.logger import filter_below
from monitoring.producers.metrics import REGISTRY
from monitoring.producers.series import HistogramSeries
from monitoring.producers.trouble import Trouble


class Story:
    """An emitter that keeps what it is given."""

    def __init__(self) -> None:
        self.raw: list[Event] = []
        self.said: list[str] = []
        self.trouble = Trouble(write=self.said.append)

    def emit(self, event: Event) -> bool:
        self.raw.append(event)
        return True

    def flush(self, timeout_seconds: float = 5.0, ack: Ack = "store") -> bool:
        return True

    def close(self, timeout_seconds: float = 5.0) -> bool:
        return True

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events: their attributes, and `level`, `message`, `logger`, `exception` beside them."""
        return [_decoded(event) for event in self.raw]

    @property
    def names(self) -> list[str]:
        """Their `event.name`, or the message of those that have none."""
        return [event.get("event.name", event["message"]) for event in self.events]

    def of(self, name: str) -> list[dict[str, Any]]:
        """Those with this `event.name`, without the prefix `llm.`."""
        return [event for event in self.events if event.get("event.name") == f"llm.{name}"]

    def one(self, name: str) -> dict[str, Any]:
        """The only one of this name."""
        (found,) = self.of(name)
        return found


def _decoded(event: Event) -> dict[str, Any]:
    attributes = orjson.loads(event.attributes) if event.attributes else {}
    exception = orjson.loads(event.exception) if event.exception else None
    about = {"level": levels.name(event.level), "message": event.message, "logger": event.logger}
    return {**attributes, **about, "exception": exception}


@contextmanager
def listening() -> Iterator[Story]:
    """A client in force that keeps what it is given, of every level."""
    story = Story()
    before = install(Client(story, Resource("test"), trouble=story.trouble))
    filter_below(0)
    try:
        yield story
    finally:
        install(before)
        clear()


def standing(name: str, **labels: str) -> float | None:
    """What a counter or gauge stands at in this process, a histogram's count; None where there is no such series."""
    wanted = {key: value for key, value in labels.items() if value}
    for instrument in REGISTRY.instruments:
        for series in instrument.series if instrument.meaning.name == name.removesuffix("_total") else ():
            if orjson.loads(series.labels or "{}") == wanted:
                found: float | None = series.count if isinstance(series, HistogramSeries) else series.value
                return found
    return None


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at
