"""What the SDK sets up for requests and jobs when it starts: their policy, and ids on their way to others."""

from __future__ import annotations

from collections.abc import Callable

from monitoring.pipeline.errors import SettingsError
from monitoring.pipeline.settings import Settings
from monitoring.producers import propagate, request_policy
from monitoring.producers.trouble import Trouble

__all__ = ["begin", "end"]


def begin(chosen: Settings, redact: Callable[[str], str], trouble: Trouble) -> None:
    """Follow these settings; what cannot be used is told, and left out."""
    try:
        policy = request_policy.policy_from(chosen, redact=redact)
    except SettingsError as problem:
        trouble.say(str(problem))
        policy = request_policy.policy_from(chosen.replace(request_sample=""), redact=redact)
    request_policy.install(policy)
    propagate.instrument()


def end() -> None:
    """Undo `begin`."""
    propagate.uninstrument()
    request_policy.install(None)
