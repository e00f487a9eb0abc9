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

from monitoring.producers import metrics

__all__ = ["BUCKETS", "METHODS", "began", "ended"]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds: those that OpenTelemetry's conventions for HTTP name."""
_MAX_BOUND = 2048
"""Combinations of labels that are kept at hand: looking the series up costs more than recording into them."""
_bound: dict[tuple[str, str, int], tuple[Any, Any, Any]] = {}


@cache
def _active() -> Any:
    return metrics.gauge("http_server_active_requests", "Requests that are being served.", across="sum").labels()


@cache
def _by_route() -> tuple[Any, Any, Any]:
    """Durations, bytes received, bytes sent; made when the first request ends."""
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


def began() -> None:
    """One more is being served."""
    _active().inc()


def ended(method: str, route: str, status: int, seconds: float, request_bytes: int, response_bytes: int) -> None:
    """It is over; only after `began`."""
    _active().dec()
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
    durations, received, sent = _by_route()
    found = (
        durations.labels(method=method, route=route, status=str(status)),
        received.labels(method=method, route=route),
        sent.labels(method=method, route=route),
    )
    if len(_bound) < _MAX_BOUND:
        _bound[key] = found
    return found
