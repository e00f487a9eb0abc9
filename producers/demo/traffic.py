"""Users: requests to the gateway, which asks inference, which asks its cache and a model."""

from __future__ import annotations

from collections.abc import Generator
from random import Random
from typing import Any, NamedTuple

from monitoring.producers import llm
from monitoring.producers.context import bind
from monitoring.producers.demo.faults import caught
from monitoring.producers.demo.platform import Platform
from monitoring.producers.demo.stage import Story
from monitoring.producers.logger import DEBUG, INFO, WARNING

__all__ = ["MODELS", "PRICES", "users"]


class Model(NamedTuple):
    """A model that requests ask for."""

    name: str
    provider: str
    share: float
    seconds: float
    """The median of what an answer takes; half of all take between 0.7 and 1.4 times as long."""


MODELS = (
    Model("gpt-4.1-mini", "openai", 0.5, 0.9),
    Model("claude-haiku-4-5", "anthropic", 0.3, 1.1),
    Model("support-bot-v3", "self-hosted", 0.2, 0.6),
)
PRICES = {
    "gpt-4.1-mini": {"input": 0.40, "output": 1.60, "cached_input": 0.10},
    "claude-haiku-4-5": {"input": 1.00, "output": 5.00, "cached_input": 0.10, "cache_write": 1.25},
    "support-bot-*": {"input": 0.06, "output": 0.24},
}
"""US dollars for a million tokens: those of the SDK's example, and what the platform's own model may cost it."""

_CHAT, _MODELS, _USAGE = "/v1/chat/completions", "/v1/models", "/v1/usage/<team>"
_TEAMS = ("atlas", "borealis", "cygnus", "delphi", "eridanus")
_BROKEN_SHARE = 0.3
"""Of the requests that 1.4.2 fails: three times what the rule "High API error rate" asks for."""
_TIMEOUT_SHARE, _TIMEOUT_SECONDS = 0.004, 30.0
_REFUSED_SHARE = 0.01
_WARM = 0.78
_WARMING = 1 / 2500
"""Of the way to a warm cache that one look-up goes: at ten a second it is half warm after three minutes."""
_CAPACITY = 4000


def users(platform: Platform) -> Story:
    """All of them: requests come as they like, so many a second on average."""
    random = platform.random("users")
    cache = llm.cache("prompt-cache", capacity=_CAPACITY)
    number = 0
    while True:
        yield random.expovariate(max(0.01, platform.traffic()))
        number += 1
        chance = Random(random.getrandbits(64))
        if random.random() < 0.85:
            platform.stage.play(platform.inference, _chat(platform, chance, cache))
        else:
            platform.stage.play(platform.gateway, _small(platform, chance))


def _ids(random: Random) -> tuple[dict[str, str], str, str]:
    """Those of the trace, the gateway's span and inference's."""
    trace = {"trace_id": f"{random.getrandbits(128) | 1:032x}", "request_id": f"req-{random.getrandbits(64):016x}"}
    return trace, f"{random.getrandbits(64) | 1:016x}", f"{random.getrandbits(64) | 1:016x}"


def _small(platform: Platform, random: Random) -> Story:
    """A request that the gateway answers itself."""
    trace, span, _ = _ids(random)
    web = platform.gateway_web
    web.began()
    seconds = random.lognormvariate(-3.9, 0.5)
    yield seconds
    route = random.choice((_MODELS, _USAGE))
    status = 401 if random.random() < 0.05 else 200
    web.ended("GET", route, status, seconds, (0, 900), **trace, span_id=span, user=random.choice(_TEAMS))


def _chat(platform: Platform, random: Random, cache: llm.Cache) -> Story:
    """A request through all of the platform."""
    trace, outer, inner = _ids(random)
    team = random.choice(_TEAMS)
    gateway = platform.gateway_web
    gateway.began()
    if random.random() < _REFUSED_SHARE:
        yield 0.002
        platform.gateway.log(WARNING, "limits", f"team {team} is over its limit", team=team, **trace, span_id=outer)
        gateway.ended("POST", _CHAT, 429, 0.002, (1200, 80), **trace, span_id=outer, user=team)
        return
    bind(**trace, span_id=inner)
    platform.inference_web.began()
    model = random.choices(MODELS, [each.share for each in MODELS])[0]
    status, seconds, sizes = yield from _inference(platform, random, cache, model, {"parent_span_id": outer})
    overhead = random.lognormvariate(-5.0, 0.4)
    yield overhead
    fields: dict[str, Any] = {**trace, "span_id": outer, "user": team, "model": model.name}
    gateway.ended("POST", _CHAT, 502 if status == 500 else status, seconds + overhead, sizes, **fields)


def _inference(
    platform: Platform, random: Random, cache: llm.Cache, model: Model, ids: dict[str, str]
) -> Generator[float, None, tuple[int, float, tuple[int, int]]]:
    """What inference makes of it: status, seconds, sizes."""
    web = platform.inference_web
    prompt = int(random.lognormvariate(6.8, 0.7))
    sizes = (prompt * 4, 0)
    if platform.broken and random.random() < _BROKEN_SHARE:
        yield 0.02
        error = caught("tokens", f"{model.name}-latest-tools")
        web.ended("POST", "/generate", 500, 0.02, sizes, **ids, exc_info=error)
        return 500, 0.02, sizes
    cached = _look_up(platform, random, cache, prompt)
    factor = platform.slowness * (0.55 if cached else 1.0)
    seconds = min(_TIMEOUT_SECONDS - 1.0, model.seconds * factor * random.lognormvariate(0.0, 0.45))
    answer = int(random.lognormvariate(5.2, 0.6))
    if random.random() < 0.3:
        batch = random.randrange(1, 17)
        platform.inference.log(
            DEBUG, "batching", f"batch of {batch} scheduled on cuda:0", batch=batch, model=model.name
        )
    if random.random() < _TIMEOUT_SHARE:
        yield _TIMEOUT_SECONDS
        error = caught("upstream", model.name)
        llm.record_call(model.name, seconds=_TIMEOUT_SECONDS, provider=model.provider, error=error)
        web.ended("POST", "/generate", 504, _TIMEOUT_SECONDS, sizes, **ids, exc_info=error)
        return 504, _TIMEOUT_SECONDS, sizes
    yield seconds
    llm.record_call(
        model.name,
        seconds=seconds,
        provider=model.provider,
        input_tokens=prompt,
        output_tokens=answer,
        cached_tokens=cached,
        time_to_first_token_seconds=seconds * random.uniform(0.15, 0.3),
        finish_reason="stop" if answer < 700 else "length",
    )
    if seconds > 4.0:
        platform.inference.log(
            WARNING,
            "queue",
            f"waited {seconds:.1f} s for a slot on cuda:0",
            queue_ms=int(seconds * 800),
            model=model.name,
        )
    elif random.random() < 0.1:
        platform.inference.log(INFO, "generate", f"answered with {answer} tokens", tokens=answer, model=model.name)
    sizes = (prompt * 4, answer * 4)
    web.ended("POST", "/generate", 200, seconds, sizes, **ids)
    return 200, seconds, sizes


def _look_up(platform: Platform, random: Random, cache: llm.Cache, prompt: int) -> int:
    """Tokens of the prompt that the cache knew; it gets warmer by each look-up."""
    hit = random.random() < platform.warmth
    platform.warmth += (_WARM - platform.warmth) * _WARMING
    if hit:
        known = prompt * 3 // 4
        cache.hit(saved_seconds=0.4, tokens=known)
        return known
    cache.miss()
    if platform.entries < _CAPACITY:
        platform.entries += 1
    else:
        cache.eviction()
    cache.size(entries=platform.entries, size_bytes=platform.entries * 96_000)
    return 0
