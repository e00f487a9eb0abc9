"""What an evaluation of a rule found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Finding", "Observation"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The value of one group at the observed moment; None where it has none (no data)."""

    labels: Mapping[str, str]
    value: float | None


@dataclass(frozen=True, slots=True)
class Observation:
    """All groups of a rule by fingerprint, as they were `at` (nanoseconds since 1970).

    `missing` is the value of groups that are not there: 0 for counts, None where nothing can be said of them.
    `stale` says why the data are late; what is beyond a threshold is so all the same, what is not may be later.
    `error` says why there is nothing to go by.
    """

    at: int
    findings: Mapping[str, Finding] = field(default_factory=dict)
    missing: float | None = None
    stale: str = ""
    error: str = ""
