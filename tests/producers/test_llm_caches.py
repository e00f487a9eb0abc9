"""A cache counts what it does; what a hit saves is told, or learnt from misses."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from monitoring.producers import llm
from tests.producers.llm_story import Hands, Story, listening, standing


@pytest.fixture
def story() -> Iterator[Story]:
    with listening() as told:
        yield told


@pytest.fixture
def name() -> str:
    """A name of its own, for metrics are the process's."""
    return f"cache-{uuid.uuid4().hex}"


def test_what_a_cache_does_is_counted(story: Story, name: str) -> None:
    cache = llm.cache(name, capacity=100)
    cache.hit(saved_seconds=0.75, tokens=400)
    cache.hit()
    cache.miss()
    cache.eviction(3)
    cache.eviction()
    cache.size(entries=7, size_bytes=2048)
    assert standing("llm_cache_requests_total", cache=name, result="hit") == 2
    assert standing("llm_cache_requests_total", cache=name, result="miss") == 1
    assert standing("llm_cache_evictions_total", cache=name) == 4
    assert standing("llm_cache_entries", cache=name) == 7
    assert standing("llm_cache_size_bytes", cache=name) == 2048
    assert standing("llm_cache_capacity_entries", cache=name) == 100
    assert standing("llm_cache_saved_seconds_total", cache=name) == 0.75
    assert standing("llm_cache_saved_tokens_total", cache=name) == 400
    assert story.events == []  # a look-up is no event


def test_a_lookup_counts_and_keeps_what_it_makes(story: Story, name: str) -> None:
    clock = Hands()
    cache = llm.cache(name, clock=clock)
    store: dict[str, str | None] = {}

    def make() -> None:
        clock.at += 2

    assert cache.lookup(store, "q", make) is None
    assert store == {"q": None}
    assert cache.lookup(store, "q", lambda: "never") is None
    assert standing("llm_cache_requests_total", cache=name, result="miss") == 1
    assert standing("llm_cache_requests_total", cache=name, result="hit") == 1
    assert standing("llm_cache_saved_seconds_total", cache=name) == 2


def test_a_lookup_raises_what_the_making_raises_and_keeps_nothing(story: Story, name: str) -> None:
    cache = llm.cache(name)
    store: dict[str, str] = {}

    def make() -> str:
        raise KeyError("upstream")

    with pytest.raises(KeyError, match="upstream") as caught:
        cache.lookup(store, "q", make)
    assert caught.value.__context__ is None
    assert store == {}
    assert standing("llm_cache_requests_total", cache=name, result="miss") == 1


@pytest.mark.parametrize("odd", [object(), "many", -1, float("nan"), float("inf")])
def test_nothing_of_it_raises_whatever_it_is_given(story: Story, name: str, odd: Any) -> None:
    cache = llm.cache(name, capacity=odd)
    cache.hit(saved_seconds=odd, tokens=odd)
    cache.eviction(odd)
    cache.size(entries=odd, size_bytes=odd)
    assert standing("llm_cache_requests_total", cache=name, result="hit") == 1
    assert story.trouble.counts["llm_value"] == 6
