"""One service of the platform: a client and a registry of its own, in a process that plays several."""

from __future__ import annotations

from random import Random
from typing import Any

from monitoring.pipeline.publish.publisher import Publisher
from monitoring.producers.client import Client, Emitter, Resource
from monitoring.producers.demo.clock import Clock
from monitoring.producers.logger import ERROR, INFO, WARNING
from monitoring.producers.registry import Registry
from monitoring.producers.request import LOGGER
from monitoring.producers.request_metrics import BUCKETS
from monitoring.producers.shipping import Reporter
from monitoring.producers.trouble import Trouble

__all__ = ["ENVIRONMENT", "Service", "Web"]

ENVIRONMENT = "demo"
"""Of everything that is played, so that one search leaves it out: `-environment:demo`."""
_SLOW_SECONDS = 3.0
"""From when on a request is a WARNING: answers of models take longer than the second of ordinary services."""
_FAILED = 500
_AGENTS = ("openai-python/1.93.0", "python-httpx/0.28.1", "axios/1.11.0", "Mozilla/5.0 (X11; Linux x86_64)")


class Service:
    """Speaks as one service of one release on one host."""

    def __init__(
        self, name: str, release: str, host: str, *, logs: Emitter, metrics: Publisher, clock: Clock, trouble: Trouble
    ) -> None:
        self.name, self.host = name, host
        self.registry = Registry(clock=clock.seconds)
        self._logs, self._metrics, self._clock, self._trouble = logs, metrics, clock, trouble
        self.deploy(release)

    def deploy(self, release: str) -> None:
        """Speak as this release from now on."""
        self.release = release
        who = Resource(self.name, ENVIRONMENT, release, self.host)
        self.client = Client(self._logs, who, trouble=self._trouble, now_ns=self._clock.now_ns)
        self.reporter = Reporter(
            self.registry,
            self._metrics,
            service=self.name,
            environment=ENVIRONMENT,
            release=release,
            host=self.host,
        )

    def log(self, level: int, logger: str, message: str, /, **fields: Any) -> None:
        """Publish an event, as a logger of this service does."""
        self.client.log(level, f"{self.name}.{logger}", message, fields)


class Web:
    """The requests of a service: records and metrics as `docs/requests.md` tells them, with played durations."""

    def __init__(self, service: Service, random: Random) -> None:
        self.service = service
        self._random = random
        registry, labels = service.registry, ("method", "route")
        self._durations = registry.histogram(
            "http_server_request_duration_seconds",
            "Time from the beginning of a request to the last byte of its response.",
            labels=(*labels, "status"),
            buckets=BUCKETS,
        )
        self._received = registry.counter(
            "http_server_request_bytes_total", "Bytes of request bodies.", unit="bytes", labels=labels
        )
        self._sent = registry.counter(
            "http_server_response_bytes_total", "Bytes of response bodies.", unit="bytes", labels=labels
        )
        self._active = registry.gauge("http_server_active_requests", "Requests that are being served.", across="sum")
        self._active.set(0)

    def began(self) -> None:
        """One more is being served."""
        self._active.inc()

    def ended(self, method: str, route: str, status: int, seconds: float, sizes: tuple[int, int], **ids: Any) -> None:
        """It is over. `ids` are those of the trace, and what else the record says: `user`, `exc_info`."""
        self._active.dec()
        self._durations.observe(seconds, method=method, route=route, status=str(status))
        self._received.inc(sizes[0], method=method, route=route)
        self._sent.inc(sizes[1], method=method, route=route)
        level = ERROR if status >= _FAILED else WARNING if seconds >= _SLOW_SECONDS else INFO
        fields = {
            "method": method,
            "route": route,
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
            "request_bytes": sizes[0],
            "response_bytes": sizes[1],
            "client": f"10.20.{self._random.randrange(4)}.{self._random.randrange(1, 255)}",
            "user_agent": self._random.choice(_AGENTS),
            **ids,
        }
        self.service.client.log(level, LOGGER, f"{method} {route} {status}", fields)
