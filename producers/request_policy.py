"""Which requests are logged, and what of them: the settings, with what a middleware was told otherwise.

excluded? -> logged only if it fails, counted nowhere
failed, slow? -> logged
sampled? -> logged, else only counted
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict, Unpack

from monitoring.pipeline import settings
from monitoring.pipeline.errors import SettingsError
from monitoring.pipeline.settings import Settings
from monitoring.producers import request_metrics
from monitoring.producers.reported import expect_access_lines

__all__ = ["Options", "Override", "Policy", "install", "policy_from"]

_MAX_ROUTES = 1024
"""Routes whose rate is remembered: of a generic WSGI application each path is one, and there is no end of them."""
_system_random = random.SystemRandom().random
"""Not the program's own generator: it may be seeded, and drawing from it would change the program's results."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done with requests. Paths and patterns may end in `*`, which stands for anything."""

    slow_seconds: float = 1.0
    exclude: tuple[str, ...] = ()
    sample: tuple[tuple[str, float], ...] = ()
    """Patterns of routes with the part of their requests that is logged, the first that matches counting."""
    capture_bodies: bool = False
    body_bytes: int = 4 << 10
    redact: Callable[[str], str] = str
    """For text that the usual redaction may not recognise: a body that was cut."""
    draw: Callable[[], float] = _system_random
    _paths: frozenset[str] = field(init=False, repr=False)
    _prefixes: tuple[str, ...] = field(init=False, repr=False)
    _rates: dict[str, float] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_paths", frozenset(path for path in self.exclude if not path.endswith("*")))
        prefixes = tuple(path[:-1] for path in self.exclude if path.endswith("*"))
        object.__setattr__(self, "_prefixes", prefixes)

    def excludes(self, path: str) -> bool:
        """Whether requests for this path are left out."""
        return path in self._paths or path.startswith(self._prefixes)

    def rate(self, route: str) -> float:
        """The part of this route's requests that is logged, 0 to 1."""
        known = self._rates.get(route)
        if known is None:
            known = next((rate for pattern, rate in self.sample if _fits(pattern, route)), 1.0)
            if len(self._rates) < _MAX_ROUTES:
                self._rates[route] = known
        return known


def _fits(pattern: str, route: str) -> bool:
    return route.startswith(pattern[:-1]) if pattern.endswith("*") else route == pattern


def policy_from(
    chosen: Settings, *, redact: Callable[[str], str] = str, draw: Callable[[], float] = _system_random
) -> Policy:
    """The policy of these settings. Raises SettingsError that names what cannot be used."""
    return Policy(
        slow_seconds=chosen.number("slow_request"),
        exclude=chosen.names("request_exclude"),
        sample=_rates_of(chosen.names("request_sample")),
        capture_bodies=chosen.flag("capture_bodies"),
        body_bytes=chosen.whole("body_bytes"),
        redact=redact,
        draw=draw,
    )


def _rates_of(entries: Iterable[str]) -> tuple[tuple[str, float], ...]:
    """`/api/items/*=0.1` and the like, in order."""
    rates = []
    for entry in entries:
        pattern, _, text = entry.rpartition("=")
        try:
            rate = float(text)
        except ValueError:
            rate = -1.0
        if not pattern or not 0.0 <= rate <= 1.0:
            raise SettingsError(f"MONITORING_REQUEST_SAMPLE: {entry!r} is not `route=rate` with a rate from 0 to 1")
        rates.append((pattern.strip(), rate))
    return tuple(rates)


_installed: Policy | None = None


def install(policy: Policy | None) -> None:
    """Have every middleware follow this policy from now on; None is the settings' defaults."""
    global _installed
    _installed = policy


def _in_force() -> Policy:
    global _installed
    if _installed is None:
        _installed = policy_from(settings.load({}))
    return _installed


class Options(TypedDict, total=False):
    """What a middleware may be told otherwise than the settings say; see Policy."""

    slow_seconds: float
    exclude: Iterable[str]
    sample: Mapping[str, float]
    capture_bodies: bool
    body_bytes: int


class Override:
    """The policy of one middleware: the installed one, but for what the program said otherwise."""

    def __init__(self, **options: Unpack[Options]) -> None:
        """Raises SettingsError for a rate that is none, TypeError for an option that is none."""
        told: dict[str, Any] = dict(options)
        unknown = told.keys() - Options.__annotations__
        if unknown:
            raise TypeError(f"{sorted(unknown)[0]!r} is not an option; there are {', '.join(Options.__annotations__)}")
        if "exclude" in told:
            told["exclude"] = tuple(told["exclude"])
        if "sample" in told:
            told["sample"] = _rates_of(f"{route}={rate}" for route, rate in told["sample"].items())
        expect_access_lines()
        request_metrics.prepare()
        self._told = told
        self._base: Policy | None = None
        self._policy = Policy()

    def policy(self) -> Policy:
        """What counts now."""
        base = _installed
        if base is None or base is not self._base:
            base = _in_force()
            self._policy = replace(base, **self._told) if self._told else base
            self._base = base
        return self._policy
