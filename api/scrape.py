"""`GET /metrics`: the instance's own metrics, for Prometheus, in its text or in OpenMetrics' as the client asks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from flask import Response, request
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from monitoring.api.health import facts
from monitoring.api.routes import Answer, Call, Route
from monitoring.api.runtime import Runtime
from monitoring.pipeline import jobs
from monitoring.pipeline.bus.tally import BOUNDS, read_tally
from monitoring.pipeline.errors import MonitoringError
from monitoring.pipeline.store.outbox import Outbox
from monitoring.pipeline.vitals import Family, Histogram, Vitals, vitals

__all__ = ["ROUTES", "metrics"]

_OPEN = "application/openmetrics-text"


def metrics(call: Call) -> Answer:
    """The whole instance's own metrics, in Prometheus' text or, where that is asked for, OpenMetrics'."""
    call.runtime.limits.count("address", call.address)  # a scrape costs more than other answers that are open to all
    registry = _Registry(_vitals(call.runtime))
    if _OPEN in request.headers.get("Accept", ""):
        return Response(openmetrics.generate_latest(registry), content_type=openmetrics.CONTENT_TYPE_LATEST)
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _vitals(runtime: Runtime) -> Vitals:
    runtime.tally.flush()
    tally: dict[str, float] = {}
    queues: dict[str, int] = {}
    status = facts(runtime)
    try:
        tally = read_tally(runtime.queue)
        queues = {
            jobs.ALLOWED[name].removeprefix("monitoring-"): jobs.queued(runtime.queue, name) for name in jobs.ALLOWED
        }
    except MonitoringError as error:  # the scrape tells what else there is, and that not all is well
        status = {**status, "problems": [*status["problems"], str(error)]}
    outbox = Outbox(runtime.control, now_ns=runtime.now_ns)
    drains = [holder.pid for holder in runtime.catalog.drains()]
    return vitals(
        status, tally, queues, {"api": [os.getpid()], "drain": drains}, outbox.counts(), runtime.alerts.counts()
    )


class _Registry:
    """What the exposition functions ask of a registry."""

    def __init__(self, found: Vitals) -> None:
        self._found = found

    def collect(self) -> Iterator[Any]:
        """The families, in the library's own classes."""
        for family, values in self._found.families():
            yield _family(family, values)


def _family(family: Family, values: dict[tuple[str, ...], float | Histogram]) -> Any:
    make = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}[family.kind]
    made = make(family.name, family.help, labels=family.labels)
    for labels, value in values.items():
        if isinstance(value, Histogram):
            made.add_metric(labels, _cumulated(value), value.sum)
        else:
            made.add_metric(labels, value)
    return made


def _cumulated(histogram: Histogram) -> list[tuple[str, float]]:
    found, below = [], 0.0
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), histogram.counts, strict=True):
        below += count
        found.append((bound, below))
    return found


ROUTES = (Route("GET", "/metrics", None, metrics),)
