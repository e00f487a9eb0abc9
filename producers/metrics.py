"""Metrics of this process: counters, gauges, histograms and timers, by name.

    from monitoring.producers.metrics import counter, gauge, histogram, timer

    ORDERS = counter("shop_orders_total", "Orders placed.", labels=("channel",))
    ORDERS.inc(channel="web")

They gather in memory; `shipping` sends what came together.
"""

from __future__ import annotations

from monitoring.producers.registry import Registry

__all__ = ["REGISTRY", "counter", "gauge", "histogram", "timer"]

REGISTRY = Registry()
"""The instruments of this process. Tests may want one of their own."""

counter = REGISTRY.counter
gauge = REGISTRY.gauge
histogram = REGISTRY.histogram
timer = REGISTRY.timer
