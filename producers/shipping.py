"""Shipping: what the instruments gathered becomes deltas, and the publisher's."""

from __future__ import annotations

from monitoring.pipeline.events.delta import Delta
from monitoring.pipeline.publish.publisher import Publisher
from monitoring.producers.registry import Registry

__all__ = ["Reporter", "seconds_until_next"]


class Reporter:
    """Gives a registry's deltas to a publisher of the signal "metrics". No thread of its own: call `ship` regularly.

    Guarantee: each increment is in exactly one batch that the publisher took, or still in the registry. From there on
    it is the publisher's: while the process lives, or with a spool in any case, it is stored exactly once.

    After a fork each process ships its own. `service`, `environment`, `release` and `host` stand in every delta.
    """

    def __init__(
        self,
        registry: Registry,
        publisher: Publisher,
        *,
        service: str,
        environment: str = "",
        release: str = "",
        host: str = "",
    ) -> None:
        self._registry = registry
        self._publisher = publisher
        self._origin = (service, environment, release, host)

    def ship(self, now_ns: int) -> bool:
        """Hand over what changed since the last time; `now_ns` is the time of day, nanoseconds.

        False where the publisher did not take it: it goes on adding up, and the next call hands it over. Call it once
        more at the end of the process, before the publisher is flushed or closed. Does not block, but for the
        functions that gauges watch.
        """
        try:
            collected = self._registry.collect(now_ns)
        except RuntimeError:
            return False  # a signal handler came into the middle of this very thread's `ship`
        with collected:
            window = (collected.timestamp, collected.window)
            rows = [Delta(*window, *self._origin, *row) for row in collected.rows]
            if rows and not self._publisher.offer(rows):
                return False
            collected.committed()
        return True


def seconds_until_next(now_ns: int, interval_seconds: float) -> float:
    """How long to wait so that windows end at whole multiples of the interval.

    Those of all processes are the same then, and those of the store: a delta need not be divided among two of its.
    """
    interval_ns = int(interval_seconds * 1e9)
    return (interval_ns - now_ns % interval_ns) / 1e9
