"""The rules that come with the product, on from the first start.

The first six are those of the seed, with its thresholds. They go by what the collectors and the middleware send
(docs/collectors.md, docs/requests.md): ratios are from 0 to 1, so 80 % is 0.8.
"""

from __future__ import annotations

from monitoring.pipeline.alerts.rule import Rule

__all__ = ["DELIVERY", "defaults"]

DELIVERY = "Notifications undeliverable"
_MINUTES = 60

_ERRORS = (
    'sum by (service) (rate(http_server_request_duration_seconds_count{status=~"5.."}[5m]))'
    " / sum by (service) (rate(http_server_request_duration_seconds_count[5m]))"
)
_SLOW = (
    "histogram_quantile(0.95, sum by (service, le) (rate(http_server_request_duration_seconds_bucket[5m])))"
)  # fmt: skip


def defaults() -> list[Rule]:
    """All of them. Each that measures a host or container waits for 2 minutes: one sample of 30 s is no trouble."""
    return [
        Rule(
            "High CPU usage", "metric",
            expr="system_cpu_usage_ratio or container_cpu_usage_ratio", operator=">", threshold=0.8, recovery=0.75,
            hold_seconds=2 * _MINUTES, severity="warning",
            annotations={
                "summary": "CPU of {{ labels.host }} at {{ value | percent }}",
                "description": "More than {{ threshold | percent }} of all CPUs' time since {{ since }}.",
            },
        ),
        Rule(
            "Critical memory usage", "metric",
            expr="system_memory_usage_ratio or container_memory_usage_ratio", operator=">", threshold=0.9,
            recovery=0.88, hold_seconds=2 * _MINUTES, severity="critical",
            annotations={
                "summary": "Memory of {{ labels.host }} at {{ value | percent }}",
                "description": "More than {{ threshold | percent }} in use since {{ since }}: at 100 % the kernel "
                "kills processes.",
            },
        ),
        Rule(
            "High API error rate", "metric", expr=_ERRORS, operator=">", threshold=0.1, recovery=0.08,
            hold_seconds=_MINUTES, severity="critical",
            annotations={
                "summary": "{{ labels.service }}: {{ value | percent }} of requests fail",
                "description": "Status 500 and above, over 5 minutes, since {{ since }}.\n{{ samples }}",
            },
        ),
        Rule(
            "Slow responses", "metric", expr=_SLOW, operator=">", threshold=5.0, recovery=4.0,
            hold_seconds=_MINUTES, severity="warning",
            annotations={
                "summary": "{{ labels.service }}: responses take {{ value | duration }}",
                "description": "The 95th percentile over 5 minutes, since {{ since }}.\n{{ samples }}",
            },
        ),
        Rule(
            "Low disk space", "metric", expr="system_disk_usage_ratio", operator=">", threshold=0.85, recovery=0.83,
            hold_seconds=2 * _MINUTES, severity="warning",
            annotations={
                "summary": "{{ labels.mount }} of {{ labels.host }} is {{ value | percent }} full",
                "description": "Programs get no more space at 100 %.",
            },
        ),
        Rule(
            "System unavailable", "heartbeat", window_seconds=5 * _MINUTES, threshold=5.0 * _MINUTES,
            group_by=("service",),
            # A script that ran for a minute has not failed when it ends.
            established_seconds=10 * _MINUTES, severity="critical",
            annotations={
                "summary": "{{ labels.service }} has sent nothing for {{ value | duration }}",
                "description": "It sent logs or metrics for at least 10 minutes and has been silent since. If it was "
                "taken out of service, resolve the alert by hand.",
            },
        ),
        Rule(
            DELIVERY, "delivery", threshold=1.0, cooldown_seconds=60 * _MINUTES, severity="critical",
            annotations={
                "summary": "{{ value }} notifications could not be delivered to {{ labels.channel }}",
                "description": "In the last hour. `monitoring channels test {{ labels.channel }}` tells why.",
            },
        ),
    ]  # fmt: skip
