"""Calls of models: tokens, latency, time to first token, cost. Neither prompts nor completions are recorded."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from monitoring.producers.llm import families, prices
from monitoring.producers.llm.recording import amount, counted, guarded, label, publish, wrong
from monitoring.producers.llm.runs import Clock, outcome_of
from monitoring.producers.logger import ERROR, INFO
from monitoring.producers.series import CounterSeries

__all__ = ["Call", "record_call", "sample_calls"]

_Chunk = TypeVar("_Chunk")


@dataclass(slots=True)
class _Facts:
    """What is known of a call. Tokens of the input are all; cached and cache_write ones are part of them."""

    model: str
    provider: str
    operation: str
    seconds: float = 0.0
    first_token_seconds: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    response_model: str | None = None
    response_id: str | None = None
    finish_reason: str | None = None
    streamed: bool = False
    cost_usd: float | None = None
    error: BaseException | str | None = None


class Call:
    """One call of a model, in a `with` block, also in coroutines.

        with llm.call("gpt-4.1-mini", provider="openai") as call:
            answer = client.chat.completions.create(...)
            call.usage(input_tokens=answer.usage.prompt_tokens, output_tokens=answer.usage.completion_tokens)

    An exception that leaves the block is recorded with the call, and goes on. Operations and providers have names in
    OpenTelemetry's conventions: `chat`, `text_completion`, `embeddings`; `openai`, `anthropic`, `aws.bedrock`.
    `response_model`, `response_id`, `finish_reason` and `cost_usd` may be set; a cost told here wins over the table.
    """

    def __init__(
        self, model: str, *, provider: str = "", operation: str = "chat", clock: Clock = time.perf_counter
    ) -> None:
        self.response_model: str | None = None
        self.response_id: str | None = None
        self.finish_reason: str | None = None
        self.cost_usd: float | None = None
        self._facts = _Facts(label(model), label(provider), label(operation))
        self._clock = clock
        self._began_at = clock()

    def __enter__(self) -> Self:
        self._began_at = self._clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(error)

    @guarded
    def first_token(self) -> None:
        """The first token of the answer is here. Only the first time counts."""
        self._facts.streamed = True
        if self._facts.first_token_seconds is None:
            self._facts.first_token_seconds = self._clock() - self._began_at

    @guarded
    def usage(
        self,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cached_tokens: int | None = None,
        cache_write_tokens: int | None = None,
    ) -> None:
        """Tokens as the provider counted them; a later number replaces an earlier one.

        `input_tokens` are all of the input, as OpenAI and OpenTelemetry count; where a provider leaves those read from
        or written to its cache out, as Anthropic does, add them.
        """
        facts = self._facts
        if input_tokens is not None:
            facts.input_tokens = counted(input_tokens, "input_tokens")
        if output_tokens is not None:
            facts.output_tokens = counted(output_tokens, "output_tokens")
        if cached_tokens is not None:
            facts.cached_tokens = counted(cached_tokens, "cached_tokens")
        if cache_write_tokens is not None:
            facts.cache_write_tokens = counted(cache_write_tokens, "cache_write_tokens")

    @overload
    def stream(self, chunks: AsyncIterable[_Chunk]) -> AsyncIterator[_Chunk]: ...
    @overload
    def stream(self, chunks: Iterable[_Chunk]) -> Iterator[_Chunk]: ...
    def stream(self, chunks: Any) -> Any:
        """The chunks as they come, the first of which tells the time to the first token."""
        self._facts.streamed = True
        return self._following(chunks) if hasattr(chunks, "__aiter__") else self._passing(chunks)

    def _passing(self, chunks: Iterable[_Chunk]) -> Iterator[_Chunk]:
        for chunk in chunks:
            self.first_token()
            yield chunk

    async def _following(self, chunks: AsyncIterable[_Chunk]) -> AsyncIterator[_Chunk]:
        async for chunk in chunks:
            self.first_token()
            yield chunk

    @guarded
    def _end(self, error: BaseException | None) -> None:
        facts = self._facts
        facts.seconds = self._clock() - self._began_at
        facts.response_model, facts.response_id = self.response_model, self.response_id
        facts.finish_reason, facts.cost_usd, facts.error = self.finish_reason, self.cost_usd, error
        _record(facts)


@guarded
def record_call(
    model: str,
    *,
    seconds: float,
    provider: str = "",
    operation: str = "chat",
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    cached_tokens: int | None = None,
    cache_write_tokens: int | None = None,
    time_to_first_token_seconds: float | None = None,
    response_model: str | None = None,
    response_id: str | None = None,
    finish_reason: str | None = None,
    cost_usd: float | None = None,
    error: BaseException | str | None = None,
) -> None:
    """Record a call that has ended, as `Call` does. `error` is the exception, or a word for what went wrong."""
    _record(
        _Facts(
            label(model),
            label(provider),
            label(operation),
            amount(seconds, "seconds") or 0.0,
            amount(time_to_first_token_seconds, "time_to_first_token_seconds"),
            counted(input_tokens, "input_tokens"),
            counted(output_tokens, "output_tokens"),
            counted(cached_tokens, "cached_tokens"),
            counted(cache_write_tokens, "cache_write_tokens"),
            response_model,
            response_id,
            finish_reason,
            time_to_first_token_seconds is not None,
            cost_usd,
            error,
        )
    )


@guarded
def sample_calls(rate: float) -> None:
    """Have only this part of the calls become events, from 0 to 1; metrics count all, and failed calls always do."""
    _sampler.rate = min(1.0, max(0.0, float(rate)))


class _Sampler:
    """Every 1/rate-th, evenly. A race tells one too many or too few."""

    def __init__(self) -> None:
        self.rate = 1.0
        self._owed = 0.0

    def takes(self) -> bool:
        self._owed += self.rate
        if self._owed < 1.0:
            return False
        self._owed -= 1.0
        return True


_sampler = _Sampler()
_told: set[str] = set()
_MAX_TOLD = 1000


def _record(facts: _Facts) -> None:
    """The one place where a call turns into metrics and an event."""
    outcome = outcome_of(facts.error)
    if facts.cached_tokens + facts.cache_write_tokens > facts.input_tokens:
        wrong(f"{facts.model}: input_tokens are all of the input, cached ones too; there are more of those")
    cost = _cost(facts)
    series = _series(facts.model, facts.provider, facts.operation)
    series.requests[outcome].inc(1)
    series.duration.observe(facts.seconds)
    if facts.first_token_seconds is not None:
        names = {"model": facts.model, "provider": facts.provider, "operation": facts.operation}
        families.time_to_first_token().observe(facts.first_token_seconds, **names)
    series.count_tokens("input", facts.input_tokens)
    series.count_tokens("output", facts.output_tokens)
    series.count_tokens("cached", facts.cached_tokens)
    series.count_tokens("cache_write", facts.cache_write_tokens)
    if cost is not None:
        families.cost().inc(cost, model=facts.model)
    if outcome == "failed" or _sampler.takes():
        _tell(facts, outcome, cost)


def _cost(facts: _Facts) -> float | None:
    """US dollars; None where no price is known. What the application says wins; then the model that answered."""
    if facts.cost_usd is not None:
        return amount(facts.cost_usd, "cost_usd")
    table = prices.current()
    price = (table.find(label(facts.response_model)) if facts.response_model else None) or table.find(facts.model)
    if price is not None:
        return price.cost(facts.input_tokens, facts.output_tokens, facts.cached_tokens, facts.cache_write_tokens)
    if facts.input_tokens or facts.output_tokens:
        families.unpriced().inc(1, model=facts.model)
        if facts.model not in _told and len(_told) < _MAX_TOLD:
            _told.add(facts.model)
            text = (
                f"no price is known for {facts.model}: its cost is not counted (MONITORING_LLM_PRICES, llm.prices.use)"
            )
            publish("llm.price.unknown", text, {"gen_ai.request.model": facts.model}, optional=True)
    return None


class _Series:
    """The series of a model that every call changes, looked up once."""

    def __init__(self, model: str, provider: str, operation: str) -> None:
        names = {"model": model, "provider": provider, "operation": operation}
        outcomes = ("succeeded", "failed", "cancelled")
        self.requests = {outcome: families.requests().labels(**names, outcome=outcome) for outcome in outcomes}
        self.duration = families.request_duration().labels(**names)
        self._model = model
        self._tokens: dict[str, CounterSeries] = {}

    def count_tokens(self, kind: str, count: int) -> None:
        """So many more tokens of this kind. A kind that a model never has gets no series."""
        if count:
            series = self._tokens.get(kind)
            if series is None:
                series = self._tokens[kind] = families.tokens().labels(model=self._model, type=kind)
            series.inc(count)


_series = lru_cache(maxsize=1024)(_Series)


def _tell(facts: _Facts, outcome: str, cost: float | None) -> None:
    fields: dict[str, Any] = {
        "gen_ai.operation.name": facts.operation,
        "gen_ai.request.model": facts.model,
        "gen_ai.usage.input_tokens": facts.input_tokens,
        "gen_ai.usage.output_tokens": facts.output_tokens,
        "outcome": outcome,
        "duration_ms": round(facts.seconds * 1000, 3),
    }
    if cost is not None:
        fields["cost_usd"] = round(cost, 9)
    if facts.first_token_seconds is not None:
        fields["gen_ai.response.time_to_first_chunk"] = round(facts.first_token_seconds, 6)
    if facts.finish_reason:
        fields["gen_ai.response.finish_reasons"] = [facts.finish_reason]
    for name, value in (
        ("gen_ai.provider.name", facts.provider),
        ("gen_ai.request.stream", facts.streamed),
        ("gen_ai.response.model", facts.response_model),
        ("gen_ai.response.id", facts.response_id),
        ("gen_ai.usage.cache_read.input_tokens", facts.cached_tokens),
        ("gen_ai.usage.cache_creation.input_tokens", facts.cache_write_tokens),
    ):
        if value:
            fields[name] = value
    if facts.error is not None:
        fields["error.type"] = label(facts.error if isinstance(facts.error, str) else type(facts.error).__qualname__)
        if isinstance(facts.error, Exception):
            fields["exc_info"] = facts.error
    text = f"{facts.operation} {facts.model} {outcome}: {facts.input_tokens} in, {facts.output_tokens} out"
    publish("llm.call", text, fields, level=ERROR if outcome == "failed" else INFO, optional=True)
