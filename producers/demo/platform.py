"""What all stories of the platform share: how it fares just now, and how fast its story goes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random

from monitoring.producers.demo.clock import Clock
from monitoring.producers.demo.service import Service, Web
from monitoring.producers.demo.stage import Stage

__all__ = ["BROKEN", "GOOD", "Platform"]

GOOD, BROKEN = "1.4.1", "1.4.2"
_WAVE_SECONDS = 1200.0
_SWING = 0.45


@dataclass
class Platform:
    """The services, and what is wrong with them at the moment. Stories read it and change it."""

    stage: Stage
    clock: Clock
    seed: int
    speed: float
    rate: float
    gateway: Service
    inference: Service
    trainer: Service
    evaluator: Service
    broken: bool = False
    slowness: float = 1.0
    warmth: float = 0.0
    entries: int = 0
    disk: float = 0.6
    training: bool = False
    gateway_web: Web = field(init=False)
    inference_web: Web = field(init=False)

    def __post_init__(self) -> None:
        self.began_ns = self.clock.now_ns()
        self.gateway_web = Web(self.gateway, self.random("gateway"))
        self.inference_web = Web(self.inference, self.random("inference"))

    def random(self, what: str) -> Random:
        """Chance of its own for each part, so that one does not change the others."""
        return Random(f"{self.seed} {what}")

    def passed(self) -> float:
        """Seconds of the story since it began."""
        return (self.clock.now_ns() - self.began_ns) / 1e9 * self.speed

    def pause(self, seconds: float) -> float:
        """So many seconds of the story, as a story yields them."""
        return seconds / self.speed

    def traffic(self) -> float:
        """Requests a second just now: waves of 20 minutes, and a longer one over them."""
        at = self.passed() / _WAVE_SECONDS * math.tau
        return self.rate * (1 + _SWING * math.sin(at) + 0.2 * math.sin(at / 3.7))

    def empty_cache(self) -> None:
        """A deploy: the prompt cache begins anew."""
        self.warmth, self.entries = 0.0, 0
