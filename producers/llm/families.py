"""The metrics of `monitoring.llm`, each made when it is first used. `docs/llm.md` describes them; a test compares.

Series with a `run_id` are those of one run, and go when it has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from monitoring.producers.instruments import Counter, Gauge, Histogram
from monitoring.producers.metrics import counter, gauge, histogram

__all__ = ["ALL"]

RUN = ("run_id", "model")
CALL = ("model", "provider", "operation")
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Buckets that OpenTelemetry's conventions name for `gen_ai.client.operation.duration`."""


@cache
def jobs_running() -> Gauge:
    return gauge("llm_fine_tuning_jobs_running", "Fine-tuning jobs that run now", across="sum")


@cache
def jobs() -> Counter:
    return counter("llm_fine_tuning_jobs_total", "Fine-tuning jobs that have ended", labels=("outcome",))


@cache
def job_step() -> Gauge:
    return gauge("llm_fine_tuning_step", "The step a job is at", labels=RUN)


@cache
def job_progress() -> Gauge:
    return gauge("llm_fine_tuning_progress_ratio", "Steps done of those planned", unit="ratio", labels=RUN)


@cache
def job_loss() -> Gauge:
    return gauge("llm_fine_tuning_loss", "Training loss at the last step", labels=RUN)


@cache
def job_learning_rate() -> Gauge:
    return gauge("llm_fine_tuning_learning_rate", "Learning rate at the last step", labels=RUN)


@cache
def job_tokens_per_second() -> Gauge:
    return gauge("llm_fine_tuning_tokens_per_second", "Throughput at the last step", labels=RUN)


@cache
def job_epoch() -> Gauge:
    return gauge("llm_fine_tuning_epoch", "The epoch a job is in", labels=RUN)


@cache
def job_metric() -> Gauge:
    return gauge("llm_fine_tuning_metric", "Any other number of the last step, by its name", labels=(*RUN, "metric"))


@cache
def job_heartbeat() -> Gauge:
    return gauge(
        "llm_fine_tuning_heartbeat_timestamp_seconds",
        "When a running job last made a step, in seconds since 1970",
        unit="seconds",
        labels=RUN,
        across="max",
    )


@cache
def job_tokens() -> Counter:
    return counter("llm_fine_tuning_tokens_total", "Tokens trained on", labels=("model",))


@cache
def job_checkpoints() -> Counter:
    return counter("llm_fine_tuning_checkpoints_total", "Checkpoints written", labels=("model",))


@cache
def job_nonfinite() -> Counter:
    return counter(
        "llm_fine_tuning_nonfinite_total", "Step metrics that were NaN or infinite", labels=("model", "metric")
    )


@cache
def evaluations_running() -> Gauge:
    return gauge("llm_evaluations_running", "Evaluations that run now", across="sum")


@cache
def evaluations() -> Counter:
    return counter("llm_evaluations_total", "Evaluations that have ended", labels=("suite", "outcome"))


@cache
def evaluation_score() -> Gauge:
    return gauge(
        "llm_evaluation_score", "Scores of an evaluation, when it ended", labels=("suite", "dataset", "model", "metric")
    )


@cache
def evaluation_cases() -> Counter:
    return counter("llm_evaluation_cases_total", "Cases of evaluations", labels=("suite", "result"))


@cache
def cache_requests() -> Counter:
    return counter("llm_cache_requests_total", "Look-ups in a cache", labels=("cache", "result"))


@cache
def cache_evictions() -> Counter:
    return counter("llm_cache_evictions_total", "Entries that a cache gave up", labels=("cache",))


@cache
def cache_entries() -> Gauge:
    return gauge("llm_cache_entries", "Entries in a cache", labels=("cache",), across="sum")


@cache
def cache_capacity() -> Gauge:
    return gauge("llm_cache_capacity_entries", "Entries that a cache has room for", labels=("cache",), across="sum")


@cache
def cache_size() -> Gauge:
    return gauge("llm_cache_size_bytes", "Size of a cache", unit="bytes", labels=("cache",), across="sum")


@cache
def cache_saved_seconds() -> Counter:
    return counter("llm_cache_saved_seconds_total", "Time that hits saved", unit="seconds", labels=("cache",))


@cache
def cache_saved_tokens() -> Counter:
    return counter("llm_cache_saved_tokens_total", "Tokens that hits saved", labels=("cache",))


@cache
def requests() -> Counter:
    return counter("llm_requests_total", "Calls of models", labels=(*CALL, "outcome"))


@cache
def request_duration() -> Histogram:
    return histogram(
        "llm_request_duration_seconds", "From the call to its end", unit="seconds", labels=CALL, buckets=SECONDS
    )


@cache
def time_to_first_token() -> Histogram:
    return histogram(
        "llm_time_to_first_token_seconds",
        "From the call to the first token of a stream",
        unit="seconds",
        labels=CALL,
        buckets=SECONDS,
    )


@cache
def tokens() -> Counter:
    return counter("llm_tokens_total", "Tokens by type; cached ones are part of the input", labels=("model", "type"))


@cache
def cost() -> Counter:
    return counter("llm_cost_usd_total", "Cost by the table of prices, in US dollars", unit="usd", labels=("model",))


@cache
def unpriced() -> Counter:
    return counter("llm_unpriced_requests_total", "Calls of models that have no price", labels=("model",))


ALL: tuple[Callable[[], Counter | Gauge | Histogram], ...] = (
    jobs_running,
    jobs,
    job_step,
    job_progress,
    job_loss,
    job_learning_rate,
    job_tokens_per_second,
    job_epoch,
    job_metric,
    job_heartbeat,
    job_tokens,
    job_checkpoints,
    job_nonfinite,
    evaluations_running,
    evaluations,
    evaluation_score,
    evaluation_cases,
    cache_requests,
    cache_evictions,
    cache_entries,
    cache_capacity,
    cache_size,
    cache_saved_seconds,
    cache_saved_tokens,
    requests,
    request_duration,
    time_to_first_token,
    tokens,
    cost,
    unpriced,
)
