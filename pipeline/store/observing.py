"""What evaluations read, opened when the first rule needs it. Implements `alerts.evaluate.Sources`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from monitoring.pipeline.alerts.evaluate import MetricEngine
from monitoring.pipeline.bus.streams import Streams
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.query.completeness import complete_through
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.interface import LogStore
from monitoring.pipeline.store.rises import Rises
from monitoring.pipeline.store.seen import Seen, seen_of

__all__ = ["Observing"]

_BELIEVED_NS = 1_000_000_000
"""How long it is believed how far the store is complete: a second of a job's rules ask the bus once."""


class Observing:
    """The stores of a data directory and its bus, as one job sees them. Not for several threads."""

    def __init__(self, chosen: Settings, control: Control, *, store: LogStore, streams: Callable[[], Streams]) -> None:
        """`streams` is called when it matters how far the store is complete; both stay their owner's."""
        self.logs = store
        self._settings, self._control, self._streams = chosen, control, streams
        self._complete: dict[str, tuple[int, int]] = {}

    @cached_property
    def metrics(self) -> MetricEngine:
        """See Sources."""
        from monitoring.pipeline.alerts.promql import open_engine  # numpy and the parser, for rules on metrics alone

        return open_engine(self._settings)

    def complete(self, signal: str) -> int:
        """See Sources."""
        now = wall_ns()
        known = self._complete.get(signal)
        if known is None or now - known[0] > _BELIEVED_NS:
            partitions = self.logs.catalog.partitions(signal)
            known = self._complete[signal] = (now, complete_through(self._streams(), partitions, now, signal=signal))
        return known[1]

    def present(self, names: Sequence[str], start_ns: int, end_ns: int) -> Mapping[tuple[str, ...], tuple[int, int]]:
        """See Sources."""
        from monitoring.pipeline.store import presence  # numpy

        return presence.present(self.logs.catalog, names, start_ns, end_ns)

    def moments(
        self, names: Sequence[str], start_ns: int, end_ns: int, step_ns: int
    ) -> Mapping[tuple[str, ...], set[int]]:  # fmt: skip
        """See Sources."""
        from monitoring.pipeline.store import presence  # numpy

        return presence.moments(self.logs.catalog, names, start_ns, end_ns, step_ns)

    def undelivered(self, since_ns: int) -> Mapping[str, int]:
        """See Sources."""
        rows = self._control.rows(
            "SELECT channel, count(*) FROM outbox WHERE state = 'failed' AND ended >= ? GROUP BY channel", since_ns
        )
        return {str(channel): int(count) for channel, count in rows}

    def own(self, fact: str, now_ns: int) -> Sequence[tuple[Mapping[str, str], float | None]]:
        """See Sources."""
        from monitoring.pipeline.own_status import look  # not for a job without a rule that asks

        return look(fact, self._settings, self.logs.catalog, self._streams(), Rises(self._control), now_ns=now_ns)

    def seen(self, rule: str) -> dict[str, Seen]:
        """See Sources."""
        return seen_of(self._control, rule)

    def close(self) -> None:
        """Close what was opened."""
        if "metrics" in self.__dict__:
            self.metrics.close()
