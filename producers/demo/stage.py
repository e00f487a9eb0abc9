"""The stage: stories that wait in played time, one after the other, and what they gather on its way.

    story (a generator of seconds to wait) -> heap by time -> its service's client is in force while it runs
    every METRICS_SECONDS of played time    -> the registries' deltas, with that time

Played time goes as fast as the bus takes what is played (`play_until`), or with the clock on the wall: who calls
`play_until` decides. What is played depends on the seed and on how much time passes, on nothing else.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Generator
from contextvars import Context

from monitoring.pipeline.errors import BusUnavailable
from monitoring.pipeline.events.delta import Delta
from monitoring.pipeline.publish.publisher import Publisher
from monitoring.producers import client as clients
from monitoring.producers.client import Client
from monitoring.producers.demo.clock import SECOND, Clock
from monitoring.producers.demo.service import ENVIRONMENT, Service
from monitoring.producers.metrics import REGISTRY
from monitoring.producers.shipping import Reporter

__all__ = ["METRICS_SECONDS", "Stage", "Story"]

METRICS_SECONDS = 10
"""As services send theirs by default."""
_FULL = 0.25
"""Of a buffer: from there on the bus is waited for, long before anything would be shed."""
_PATIENCE_SECONDS = 60.0
"""A drain commits what a full bus holds within seconds; what takes so long has stopped."""

Story = Generator[float, None, None]
"""Yields how many seconds pass until it goes on."""


class Stage:
    """Plays stories. Not thread-safe; while one plays, `monitoring.llm` speaks for its service."""

    def __init__(self, clock: Clock, logs: Publisher, metrics: Publisher, *, buffer_events: int) -> None:
        self.clock = clock
        self.owners: dict[str, Service] = {}
        """Whose the metrics of the process's own registry are, by the beginning of their names."""
        self._logs, self._metrics = logs, metrics
        self._most = int(buffer_events * _FULL)
        self._number = itertools.count()
        self._waiting: list[tuple[int, int, Service, Context, Story]] = []
        self._reporters: list[Callable[[], Reporter]] = []
        REGISTRY.take_time_from(clock.seconds)

    def reports(self, reporter: Callable[[], Reporter]) -> None:
        """Have what this reporter gathers sent. It is asked for each time, because a new release has another."""
        self._reporters.append(reporter)

    def play(self, service: Service, story: Story) -> None:
        """Begin a story now, in the name of this service and in a context of its own."""
        self._wait(self.clock.now_ns(), service, Context(), story)

    def _wait(self, until_ns: int, service: Service, context: Context, story: Story) -> None:
        heapq.heappush(self._waiting, (until_ns, next(self._number), service, context, story))

    def play_until(self, end_ns: int) -> None:
        """Play all that is due until then. Raises BusUnavailable where the bus takes no more for a minute."""
        outer: Client | None = clients.active()
        window = METRICS_SECONDS * SECOND
        try:
            while self.clock.now_ns() < end_ns:
                boundary = (self.clock.now_ns() // window + 1) * window
                self._play_stories(min(boundary, end_ns))
                if boundary <= end_ns:
                    self.ship()
        finally:
            clients.install(outer)

    def _play_stories(self, end_ns: int) -> None:
        while self._waiting and self._waiting[0][0] < end_ns:
            due, _, service, context, story = heapq.heappop(self._waiting)
            self.clock.reach(due)
            clients.install(service.client)
            pause = context.run(next, story, None)
            if pause is not None:
                self._wait(due + int(pause * SECOND), service, context, story)
        self.clock.reach(end_ns)

    def close(self) -> None:
        """End all stories: runs that are under way are told to be cancelled. What is gathered is handed over."""
        outer = clients.active()
        try:
            for _, _, service, context, story in sorted(self._waiting, key=lambda each: each[:2]):
                clients.install(service.client)
                context.run(story.close)
        finally:
            self._waiting.clear()
            clients.install(outer)
        self.ship()

    def ship(self) -> None:
        """Hand over what the registries gathered, and let the bus catch up."""
        now_ns = self.clock.now_ns()
        for reporter in self._reporters:
            reporter().ship(now_ns)
        self._ship_own(now_ns)
        for publisher in (self._logs, self._metrics):
            if publisher.counters().buffered > self._most and not publisher.flush(_PATIENCE_SECONDS, "bus"):
                raise BusUnavailable(publisher.trouble or "the bus has been full for a minute: is a drain running?")

    def _ship_own(self, now_ns: int) -> None:
        """What `monitoring.llm` gathered is of several services: each family goes to whom it belongs."""
        with REGISTRY.collect(now_ns) as collected:
            rows = [
                Delta(collected.timestamp, collected.window, *self._origin(family), family, labels, value)
                for family, labels, value in collected.rows
            ]
            if not rows or self._metrics.offer(rows):
                collected.committed()

    def _origin(self, family: str) -> tuple[str, str, str, str]:
        for beginning, service in self.owners.items():
            if beginning in family:
                return service.name, ENVIRONMENT, service.release, service.host
        return "", ENVIRONMENT, "", ""
