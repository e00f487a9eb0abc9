"""How often somebody may ask: fixed windows of a minute, counted on the bus, so that all processes count together.

The counting is `limits`', the library that flask-limiter is a Flask extension for: an extension would belong to the
application, and ours may be a blueprint in somebody else's. Where the bus does not answer, everything is let through
and a line is logged: a limit protects the product, and must not be what stops it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import redis
from limits import RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter

from monitoring.api.problems import Problem
from monitoring.pipeline.errors import MonitoringError
from monitoring.pipeline.settings import Settings

__all__ = ["RateLimits"]

_log = logging.getLogger("monitoring.api")

_PREFIX = "monitoring:rate"
AWAY_SECONDS = 5.0
"""After the bus has failed to count, it is left alone for so long: each attempt could wait for its time-out."""


class RateLimits:
    """The limits of the settings, by key, by address, and for failed attempts to prove who one is."""

    def __init__(
        self, settings: Settings, connect: Callable[[], redis.Redis], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = {
            kind: RateLimitItemPerMinute(most)
            for kind in ("key", "address", "failed")
            if (most := settings.whole(f"rate_{kind}"))
        }
        self._connect = connect
        self._clock = clock
        self._lock = threading.Lock()
        self._limiter: FixedWindowRateLimiter | None = None
        self._away_until = 0.0

    def count(self, kind: str, who: str) -> None:
        """Count a request of this key or address, or a failure of this address. Raises Problem 429 beyond the limit."""
        limit = self._limits.get(kind)
        if limit is None or self._clock() < self._away_until:
            return
        try:
            limiter = self._ready()
            if limiter.hit(limit, kind, who):
                return
            reset = limiter.get_window_stats(limit, kind, who).reset_time
        except (redis.RedisError, OSError, MonitoringError) as error:
            self._away_until = self._clock() + AWAY_SECONDS
            _log.warning("rate limits are not counted for %g s, the bus does not: %s", AWAY_SECONDS, error)
            return
        what = "failed attempts" if kind == "failed" else "requests"
        raise Problem(
            429,
            f"more than {limit.amount} {what} a minute of this {'key' if kind == 'key' else 'address'}",
            fix=f"come back later; the operator may raise MONITORING_RATE_{kind.upper()}",
            retry_after=max(1.0, reset - time.time()),
        )

    def _ready(self) -> FixedWindowRateLimiter:
        with self._lock:
            if self._limiter is None:
                pool = self._connect().connection_pool
                storage = RedisStorage("redis://", connection_pool=pool, key_prefix=_PREFIX)
                self._limiter = FixedWindowRateLimiter(storage)
            return self._limiter
