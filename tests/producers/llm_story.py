"""What `monitoring.llm` told, for its tests: events as dictionaries, and what metrics stand at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from monitoring.producers.client import active
from monitoring.producers.metrics import REGISTRY
from monitoring.producers.series import HistogramSeries
from monitoring.producers.testing import Capture, CapturedEvent, capture
from monitoring.producers.trouble import Trouble


class Story:
    """What was told while it was listened to."""

    def __init__(self, captured: Capture, trouble: Trouble) -> None:
        self._captured = captured
        self.trouble = trouble

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events: their attributes, and `level`, `message`, `logger`, `exception` beside them."""
        return [_flat(event) for event in self._captured.events]

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


def _flat(event: CapturedEvent) -> dict[str, Any]:
    about = {"level": event.level, "message": event.message, "logger": event.logger, "exception": event.exception}
    return {**event.attributes, **about}


@contextmanager
def listening() -> Iterator[Story]:
    """Within the block what is published is kept, of every level."""
    with capture() as captured:
        client = active()
        assert client is not None
        yield Story(captured, client.trouble)


def standing(name: str, **labels: str) -> float | None:
    """What a counter or gauge stands at in this process, a histogram's count; None where there is no such series."""
    wanted = {key: value for key, value in labels.items() if value}
    for instrument in REGISTRY.instruments:
        for series in instrument.series if instrument.meaning.name == name.removesuffix("_total") else ():
            if orjson.loads(series.labels or "{}") == wanted:
                found: float | None = series.count if isinstance(series, HistogramSeries) else series.value
                return found
    return None


def sent(name: str, **labels: str) -> list[Any]:
    """The values that are sent of a series the next time that metrics are, one for each such series."""
    wanted = {key: value for key, value in labels.items() if value}
    with REGISTRY.collect(time.time_ns()) as collected:  # and returned: the registry is the whole process's
        return [
            orjson.loads(row.value)
            for row in collected.rows
            if orjson.loads(row.family)["name"] == name.removesuffix("_total") and orjson.loads(row.labels) == wanted
        ]


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at
