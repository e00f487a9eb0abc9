"""Metrics that are derived from logs: what one is, how events become increments, how those reach the metric store."""
