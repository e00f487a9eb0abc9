"""Questions that users of an LLM platform ask of their metrics, by a name each: PromQL over our own families."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["NAMED", "Named"]


class Named(NamedTuple):
    """A query: what it tells, in PromQL, and the unit of its values as UCUM or words have it."""

    about: str
    expr: str
    unit: str


_REQUESTS = "http_server_request_duration_seconds"


def _latency(quantile: float) -> str:
    return f"histogram_quantile({quantile}, sum by (service, route, le) (rate({_REQUESTS}_bucket[5m])))"


def _share(by: str, counter: str, those: str) -> str:
    """Which part of what a counter counts are those; 0 where none of them was ever counted."""
    all_of_them = f"sum by ({by}) (rate({counter}[5m]))"
    return f"(sum by ({by}) (rate({counter}{{{those}}}[5m])) or {all_of_them} * 0) / {all_of_them}"


NAMED: Mapping[str, Named] = MappingProxyType(
    {
        "request_rate": Named("Requests a second", f"sum by (service) (rate({_REQUESTS}_count[5m]))", "requests/s"),
        "error_rate": Named(
            "Part of the requests that the server failed",
            _share("service", f"{_REQUESTS}_count", 'status=~"5.."'),
            "ratio",
        ),
        "latency_p50": Named("Half of the requests of a route take less", _latency(0.5), "seconds"),
        "latency_p95": Named("19 of 20 requests of a route take less", _latency(0.95), "seconds"),
        "latency_p99": Named("99 of 100 requests of a route take less", _latency(0.99), "seconds"),
        "throughput": Named(
            "Bytes a second that were answered",
            "sum by (service) (rate(http_server_response_bytes_total[5m]))",
            "bytes/s",
        ),
        "in_flight": Named("Requests under way", "sum by (service) (http_server_active_requests)", "requests"),
        "saturation": Named(
            "How full the fullest of a host's CPUs, memory and file systems is",
            'max by (host) ({__name__=~"system_(cpu|memory|disk)_usage_ratio"})',
            "ratio",
        ),
        "cpu": Named("Part of the CPUs' time in use", "system_cpu_usage_ratio", "ratio"),
        "memory": Named("Part of the memory in use", "system_memory_usage_ratio", "ratio"),
        "disk": Named("Part of each file system in use", "max by (host, mount) (system_disk_usage_ratio)", "ratio"),
        "network": Named(
            "Bytes a second by direction", "sum by (host, direction) (rate(system_network_bytes_total[5m]))", "bytes/s"
        ),
        "load": Named("Processes that run or wait, to each CPU", "system_load1 / system_cpu_count", "ratio"),
        "cache_hit_ratio": Named(
            "Part of the look-ups that a cache answered",
            _share("cache", "llm_cache_requests_total", 'result="hit"'),
            "ratio",
        ),
        "fine_tuning_running": Named("Fine-tuning jobs that run", "sum(llm_fine_tuning_jobs_running)", "jobs"),
        "fine_tuning_failed": Named(
            "Fine-tuning jobs that failed in an hour",
            'sum(increase(llm_fine_tuning_jobs_total{outcome="failed"}[1h]))',
            "jobs",
        ),
        "fine_tuning_loss": Named("Training loss of each run", "llm_fine_tuning_loss", ""),
        "evaluation_score": Named(
            "Scores of evaluations", "max by (model, suite, dataset, metric) (llm_evaluation_score)", ""
        ),
        "llm_requests": Named(
            "Calls of models a second", "sum by (model, outcome) (rate(llm_requests_total[5m]))", "requests/s"
        ),
        "llm_latency_p95": Named(
            "19 of 20 calls of a model take less",
            "histogram_quantile(0.95, sum by (model, le) (rate(llm_request_duration_seconds_bucket[5m])))",
            "seconds",
        ),
        "llm_tokens": Named(
            "Tokens a second by model and type", "sum by (model, type) (rate(llm_tokens_total[5m]))", "tokens/s"
        ),
        "llm_cost": Named(
            "US dollars an hour by model", "sum by (model) (rate(llm_cost_usd_total[1h])) * 3600", "USD/h"
        ),
    }
)
"""All of them, by name."""
