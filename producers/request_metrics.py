"""The `http_server_*` metrics: rate, errors, duration and sizes by route, and how many requests are in flight.

    http_server_request_duration_seconds{method, route, status}   histogram
    http_server_active_requests                                   gauge, added up over the processes
    http_server_request_bytes_total{method, route}                counter, of bodies
    http_server_response_bytes_total{method, route}               counter, of bodies

A method that HTTP does not know is `OTHER`: clients send what they like, and each were a series.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from monitoring.pipeline.publish.forks import in_every_child
from monitoring.producers import metrics
from monitoring.producers.work import bug

__all__ = ["BUCKETS", "METHODS", "ended", "in_flight", "prepare"]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds: those that OpenTelemetry's conventions for HTTP name."""
_MAX_BOUND = 2048
"""Combinations of labels that are kept at hand: looking the series up costs more than recording into them."""
_bound: dict[tuple[str, str, int], tuple[Any, Any, Any]] = {}

in_flight: set[int] = set()
"""A number for each request that is being served, which it adds and takes away itself."""


@cache
def prepare() -> None:
    """Define the metrics, once; before the first request. An application that has metrics of these names keeps them."""
    try:
        gauge = metrics.gauge("http_server_active_requests", "Requests that are being served.", across="sum")
        gauge.watch(lambda: len(in_flight))
        _by_route()
    except ValueError as error:
        bug("requests will not be counted", error)
    in_every_child(in_flight.clear)


@cache
def _by_route() -> tuple[Any, Any, Any]:
    """Durations, bytes received, bytes sent. Raises ValueError where a name is taken by another kind of metric."""
    labels = ("method", "route")
    return (
        metrics.histogram(
            "http_server_request_duration_seconds",
            "Time from the beginning of a request to the last byte of its response.",
            labels=(*labels, "status"),
            buckets=BUCKETS,
        ),
        metrics.counter("http_server_request_bytes_total", "Bytes of request bodies.", unit="bytes", labels=labels),
        metrics.counter("http_server_response_bytes_total", "Bytes of response bodies.", unit="bytes", labels=labels),
    )


class _Nowhere:
    """A series that is not there."""

    def observe(self, value: float) -> None:
        """Not counted."""

    def inc(self, amount: float) -> None:
        """Not counted."""


def ended(method: str, route: str, status: int, seconds: float, request_bytes: int, response_bytes: int) -> None:
    """A request is over."""
    key = (method, route, status)
    durations, received, sent = _bound.get(key) or _bind(key)
    durations.observe(seconds)
    if request_bytes:
        received.inc(request_bytes)
    if response_bytes:
        sent.inc(response_bytes)


def _bind(key: tuple[str, str, int]) -> tuple[Any, Any, Any]:
    method, route, status = key
    method = method if method in METHODS else "OTHER"
    try:
        durations, received, sent = _by_route()
        found = (
            durations.labels(method=method, route=route, status=str(status)),
            received.labels(method=method, route=route),
            sent.labels(method=method, route=route),
        )
    except ValueError:  # `prepare` has told it
        found = (_Nowhere(), _Nowhere(), _Nowhere())
    if len(_bound) < _MAX_BOUND:
        _bound[key] = found
    return found
