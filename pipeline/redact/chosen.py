"""The redactor that the settings describe."""

from __future__ import annotations

from monitoring.pipeline.errors import SettingsError
from monitoring.pipeline.redact.redactor import Redactor
from monitoring.pipeline.settings import Settings

__all__ = ["redactor_from"]


def redactor_from(chosen: Settings) -> Redactor:
    """The redactor of these settings. Raises SettingsError that names what cannot be used."""
    patterns: dict[str, str] = {}
    for line in chosen.lines("redact_patterns"):
        kind, found, pattern = line.partition("=")
        if not found or not kind.strip():
            raise SettingsError(f"MONITORING_REDACT_PATTERNS: {line!r} is not `kind=pattern`")
        patterns[kind.strip()] = pattern.strip()
    try:
        return Redactor(keys=chosen.names("redact_keys"), patterns=patterns, allow=chosen.lines("redact_allow"))
    except SettingsError as error:
        raise SettingsError(f"MONITORING_REDACT_PATTERNS, MONITORING_REDACT_ALLOW: {error}") from None
