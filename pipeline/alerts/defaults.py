"""The rules that come with the product, on from the first start.

The first six are those of the seed, with its thresholds. They go by what the collectors and the middleware send
(docs/collectors.md, docs/requests.md): ratios are from 0 to 1, so 80 % is 0.8. The others are of the product
about itself and go by its own books. docs/runbooks.md has a section for each rule, under its name.
"""

from __future__ import annotations

from monitoring.pipeline.alerts.rule import Rule

__all__ = ["DELIVERY", "defaults"]

DELIVERY = "Notifications undeliverable"
_MINUTES = 60
_RUNBOOKS = "docs/runbooks.md#"
"""A page of the product's documents: an address would have to be one that every instance reaches."""

_ERRORS = (
    'sum by (service) (rate(http_server_request_duration_seconds_count{status=~"5.."}[5m]))'
    " / sum by (service) (rate(http_server_request_duration_seconds_count[5m]))"
)
_SLOW = (
    "histogram_quantile(0.95, sum by (service, le) (rate(http_server_request_duration_seconds_bucket[5m])))"
)  # fmt: skip


def defaults() -> list[Rule]:
    """All of them, those of the seed first."""
    return [*_of_services(), *_of_itself()]


def _of_services() -> list[Rule]:
    """Each that measures a host or container waits for 2 minutes: one sample of 30 s is no trouble."""
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
    ]  # fmt: skip


def _of_itself() -> list[Rule]:
    """How the product itself is doing. Where that cannot be known for a while (no bus), an alert stays as it is."""
    return [
        Rule(
            DELIVERY, "delivery", threshold=1.0, cooldown_seconds=60 * _MINUTES, severity="critical",
            annotations={
                "summary": "{{ value }} notifications could not be delivered to {{ labels.channel }}",
                "description": "In the last hour. `monitoring channels test {{ labels.channel }}` tells why.",
                "runbook": f"{_RUNBOOKS}notifications-undeliverable",
            },
        ),
        Rule(
            # A killed drain is replaced within 15 s: a minute says that nobody drains, or not fast enough.
            "Ingest is behind", "status", expr="ingest_lag_seconds", operator=">", threshold=60.0, recovery=30.0,
            interval_seconds=30, no_data="keep", severity="warning",
            annotations={
                "summary": "{{ labels.signal }} wait for {{ value | duration }} before they are stored",
                "description": "Nothing is lost, but searches, metrics and alerts on them are that late.",
                "runbook": f"{_RUNBOOKS}ingest-is-behind",
            },
        ),
        Rule(
            # A few come of any sender's mistake; a hundred an hour is a sender that does not stop.
            "Events dead-lettered", "status", expr="dead_letters_last_hour", operator=">", threshold=100.0,
            recovery=0.0, no_data="keep", severity="warning",
            annotations={
                "summary": "{{ value }} dead letters of {{ labels.signal }} in the last hour",
                "description": "They could not be stored as events. `monitoring dead-letters list` shows why.",
                "runbook": f"{_RUNBOOKS}events-dead-lettered",
            },
        ),
        Rule(
            "Events dropped", "status", expr="dropped_last_hour", operator=">", threshold=0.0, no_data="keep",
            severity="warning",
            annotations={
                "summary": "Producers dropped {{ value }} {{ labels.signal }} in the last hour: {{ labels.reason }}",
                "description": "These are lost. `monitoring status` shows which producers dropped any.",
                "runbook": f"{_RUNBOOKS}events-dropped",
            },
        ),
        Rule(
            # Twice the reserve, as `monitoring doctor` has it: at the reserve itself there is no time left to act.
            "Disk reserve nearly reached", "status", expr="disk_free_reserves", operator="<", threshold=2.0,
            recovery=2.5, no_data="keep", severity="critical",
            annotations={
                "summary": "The data directory's disk has room for {{ value | round }} times its reserve",
                "description": "At 1 drains stop (MONITORING_DISK_RESERVE), and go on when there is room.",
                "runbook": f"{_RUNBOOKS}disk-reserve-nearly-reached",
            },
        ),
        Rule(
            # Bus and store are not read in the same moment: what stays is no matter of that.
            "Books do not balance", "status", expr="books_residual", operator=">", threshold=0.0,
            hold_seconds=3 * _MINUTES, no_data="keep", severity="critical",
            annotations={
                "summary": "{{ value }} {{ labels.signal }} are not accounted for",
                "description": "What producers say they sent is not what was stored, dead-lettered and dropped: events "
                "may be lost or doubled. `monitoring verify` looks closer.",
                "runbook": f"{_RUNBOOKS}books-do-not-balance",
            },
        ),
    ]  # fmt: skip
