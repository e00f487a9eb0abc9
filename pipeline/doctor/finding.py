"""What a check says, and what it is given to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import redis

from monitoring.pipeline.errors import SettingsError
from monitoring.pipeline.settings import Settings

__all__ = ["Examined", "Finding", "Level", "ok", "problem", "warning"]

Level = Literal["ok", "warning", "problem"]


class Finding(NamedTuple):
    """`said` is what was found, `advice` what to do about it, "" where nothing is."""

    level: Level
    said: str
    advice: str = ""


def ok(said: str) -> Finding:
    """All is as it should be, or there is nothing to look at."""
    return Finding("ok", said)


def warning(said: str, advice: str) -> Finding:
    """It works, and may not for long, or not as one thinks."""
    return Finding("warning", said, advice)


def problem(said: str, advice: str) -> Finding:
    """It does not work, or events will be lost."""
    return Finding("problem", said, advice)


@dataclass(slots=True)
class Examined:
    """What the checks look at, gathered once.

    `running` tells whether `monitoring up` holds the data directory; `refused` are the settings that could not be used.
    `client` is None where the bus does not answer, `bus_error` says why, `bus_refuses` that the password is why;
    `servers` is the INFO of each server of the bus by its name, "" where it is a single one;
    `status` is what `monitoring status` knows, None where there is no store yet or it cannot be opened.
    """

    settings: Settings
    environ: Mapping[str, str]
    running: bool
    refused: list[SettingsError] = field(default_factory=list)
    bus_url: str = ""
    bus_error: str = ""
    bus_refuses: bool = False
    client: redis.Redis | None = None
    bus_facts: dict[str, Any] = field(default_factory=dict)
    servers: dict[str, dict[str, Any]] = field(default_factory=dict)
    status: dict[str, Any] | None = None

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.settings.data

    @property
    def existing(self) -> Path:
        """The data directory, or the nearest directory above it that exists."""
        return next(path for path in (self.data, *self.data.parents) if path.is_dir())

    @property
    def lags(self) -> list[dict[str, Any]]:
        """Partitions whose lag is known."""
        return [part for part in (self.status or {}).get("partitions", []) if part.get("lag")]
