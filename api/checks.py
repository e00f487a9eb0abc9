"""The settings of the API that are lists: checked at the start, so that no restart loop has to tell of a mistake."""

from __future__ import annotations

from monitoring.api.cors import Origins
from monitoring.api.proxy import Proxies
from monitoring.pipeline.redact import redactor_from
from monitoring.pipeline.settings import Settings

__all__ = ["check"]


def check(settings: Settings) -> None:
    """Raises SettingsError, with the setting's name, for what cannot be."""
    Proxies(settings)
    Origins(settings)
    if settings.lines("redact_patterns") or settings.lines("redact_allow"):
        redactor_from(settings)
