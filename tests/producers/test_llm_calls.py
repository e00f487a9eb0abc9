"""A call of a model tells tokens, latency, time to first token and cost, by OpenTelemetry's names; never its text."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from monitoring.producers import llm
from monitoring.producers.logger import filter_below
from tests.producers.llm_story import Hands, Story, listening, standing


@pytest.fixture
def story() -> Iterator[Story]:
    with listening() as told:
        llm.prices.use({"models": {"model-*": {"input": 2, "output": 8, "cached_input": 0.5}}})
        yield told
    llm.prices.use(None)
    llm.sample_calls(1)


@pytest.fixture
def model() -> str:
    """A name of its own, for metrics are the process's."""
    return f"model-{uuid.uuid4().hex}"


def test_the_story_of_a_call(story: Story, model: str) -> None:
    clock = Hands()
    with llm.call(model, provider="openai", clock=clock) as call:
        clock.at += 0.25
        call.first_token()
        clock.at += 1
        call.first_token()
        call.usage(input_tokens=1000, output_tokens=500, cached_tokens=400)
        call.response_model, call.response_id, call.finish_reason = f"{model}-2026", "resp-1", "stop"
    event = story.one("call")
    assert (
        event.items()
        >= {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": model,
            "gen_ai.response.model": f"{model}-2026",
            "gen_ai.response.id": "resp-1",
            "gen_ai.response.time_to_first_chunk": 0.25,
            "gen_ai.usage.input_tokens": 1000,
            "gen_ai.usage.output_tokens": 500,
            "gen_ai.usage.cache_read.input_tokens": 400,
            "outcome": "succeeded",
            "duration_ms": 1250.0,
            "cost_usd": 0.0054,
            "level": "INFO",
        }.items()
    )
    assert event["gen_ai.response.finish_reasons"] == ["stop"]
    labels = {"model": model, "provider": "openai", "operation": "chat"}
    assert standing("llm_requests_total", **labels, outcome="succeeded") == 1
    assert standing("llm_cost_usd_total", model=model) == pytest.approx(0.0054)
    for kind, count in (("input", 1000), ("output", 500), ("cached", 400)):
        assert standing("llm_tokens_total", model=model, type=kind) == count


def test_one_shot_tells_the_same(story: Story, model: str) -> None:
    clock = Hands()
    with llm.call(model, provider="p", operation="text_completion", clock=clock) as call:
        clock.at += 0.5
        call.first_token()
        clock.at += 0.5
        call.usage(input_tokens=10, output_tokens=20, cached_tokens=5, cache_write_tokens=2)
    llm.record_call(
        model,
        seconds=1.0,
        provider="p",
        operation="text_completion",
        input_tokens=10,
        output_tokens=20,
        cached_tokens=5,
        cache_write_tokens=2,
        time_to_first_token_seconds=0.5,
    )
    first, second = story.of("call")
    assert first["gen_ai.request.stream"] is True
    assert first == second


def test_a_call_within_a_run_carries_its_id(story: Story, model: str) -> None:
    with llm.evaluation("suite", model=model) as evaluation, llm.call(model):
        pass
    assert story.one("call")["run_id"] == evaluation.run_id


def test_a_call_that_raises_failed_and_the_exception_goes_on(story: Story, model: str) -> None:
    with pytest.raises(TimeoutError), llm.call(model) as call:
        call.usage(input_tokens=100)
        raise TimeoutError("upstream")
    event = story.one("call")
    assert (event["outcome"], event["level"], event["error.type"]) == ("failed", "ERROR", "TimeoutError")
    assert event["exception"]["message"] == "upstream"
    assert standing("llm_requests_total", model=model, provider="", operation="chat", outcome="failed") == 1
    assert standing("llm_tokens_total", model=model, type="input") == 100


def test_a_call_whose_task_is_cancelled_is_cancelled(story: Story, model: str) -> None:
    async def ask() -> None:
        with llm.call(model):
            await asyncio.Event().wait()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(), 0)
        task = asyncio.create_task(ask())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert {event["outcome"] for event in story.of("call")} == {"cancelled"}
    assert {event["level"] for event in story.of("call")} == {"INFO"}


def test_an_error_may_be_a_word(story: Story, model: str) -> None:
    llm.record_call(model, seconds=0.1, error="rate_limited")
    event = story.one("call")
    assert (event["outcome"], event["error.type"], event["exception"]) == ("failed", "rate_limited", None)


def test_a_stream_passes_on_and_its_first_chunk_is_the_first_token(story: Story, model: str) -> None:
    clock = Hands()

    def chunks() -> Iterator[str]:
        for chunk in "abc":
            clock.at += 0.5
            yield chunk

    with llm.call(model, clock=clock) as call:
        assert list(call.stream(chunks())) == ["a", "b", "c"]
    event = story.one("call")
    assert event["gen_ai.response.time_to_first_chunk"] == 0.5
    assert event["duration_ms"] == 1500
    assert event["gen_ai.request.stream"] is True


def test_an_asynchronous_stream_too(story: Story, model: str) -> None:
    clock = Hands()

    async def chunks() -> AsyncIterator[int]:
        for chunk in range(3):
            clock.at += 0.5
            yield chunk

    async def ask() -> list[int]:
        with llm.call(model, clock=clock) as call:
            return [chunk async for chunk in call.stream(chunks())]

    assert asyncio.run(ask()) == [0, 1, 2]
    assert story.one("call")["gen_ai.response.time_to_first_chunk"] == 0.5


def test_a_client_that_goes_away_amid_a_stream_cancels_the_call(story: Story, model: str) -> None:
    def answer() -> Iterator[str]:
        with llm.call(model) as call:
            yield from call.stream("abc")

    stream = answer()
    assert next(stream) == "a"
    stream.close()  # type: ignore[attr-defined]
    assert story.one("call")["outcome"] == "cancelled"


def test_an_empty_stream_has_no_first_token(story: Story, model: str) -> None:
    with llm.call(model) as call:
        assert list(call.stream([])) == []
    assert "gen_ai.response.time_to_first_chunk" not in story.one("call")


def test_a_later_usage_replaces_an_earlier_one(story: Story, model: str) -> None:
    with llm.call(model) as call:
        call.usage(input_tokens=100, output_tokens=1)
        call.usage(output_tokens=50)
    event = story.one("call")
    assert (event["gen_ai.usage.input_tokens"], event["gen_ai.usage.output_tokens"]) == (100, 50)


def test_a_cost_that_is_told_wins_over_the_table(story: Story, model: str) -> None:
    with llm.call(model) as call:
        call.usage(input_tokens=1_000_000)
        call.cost_usd = 0.75
    assert story.one("call")["cost_usd"] == 0.75
    assert standing("llm_cost_usd_total", model=model) == 0.75


def test_the_model_that_answered_decides_the_price(story: Story, model: str) -> None:
    llm.prices.use({"models": {model: {"input": 1, "output": 0}, "turbo": {"input": 5, "output": 0}}})
    llm.record_call(model, seconds=1, input_tokens=1_000_000, response_model="turbo")
    llm.record_call(model, seconds=1, input_tokens=1_000_000, response_model="unheard of")
    assert [event["cost_usd"] for event in story.of("call")] == [5, 1]


def test_more_cached_tokens_than_there_are_is_told_and_no_cost_is_negative(story: Story, model: str) -> None:
    llm.record_call(model, seconds=1, input_tokens=10, cached_tokens=1_000_000)
    assert story.trouble.counts == {"llm_value": 1}
    assert story.one("call")["cost_usd"] == 0.5


def test_a_part_of_the_calls_become_events_and_failed_ones_always(story: Story, model: str) -> None:
    llm.sample_calls(0.25)
    for number in range(100):
        llm.record_call(model, seconds=1, error="e" if number % 50 == 0 else None)
    outcomes = [event["outcome"] for event in story.of("call")]
    assert outcomes.count("failed") == 2
    assert 23 <= outcomes.count("succeeded") <= 25
    requests = {"model": model, "provider": "", "operation": "chat"}
    assert standing("llm_requests_total", **requests, outcome="succeeded") == 98
    llm.sample_calls(0)
    llm.record_call(model, seconds=1)
    assert len(story.of("call")) == len(outcomes)


def test_log_level_decides_about_calls(story: Story, model: str) -> None:
    filter_below(17)
    llm.record_call(model, seconds=1)
    llm.record_call(model, seconds=1, error="e")
    assert story.one("call")["outcome"] == "failed"


def test_nothing_of_it_raises_whatever_it_is_given(story: Story) -> None:
    odd: Any = object()
    with llm.call(odd, provider=odd, operation=odd) as call:
        call.usage(input_tokens=odd, output_tokens=-1, cached_tokens="many", cache_write_tokens=1.5)  # type: ignore[arg-type]
        call.response_model = call.response_id = call.finish_reason = call.cost_usd = odd
    llm.record_call(odd, seconds=odd, error=odd, input_tokens=odd, time_to_first_token_seconds=odd)
    llm.record_call("m", seconds=-1)
    llm.sample_calls(odd)
    assert story.trouble.counts.keys() <= {"llm_value", "internal"}
