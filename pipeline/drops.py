"""Why producers drop events: the reasons that are known by name where everything that is said must be bounded."""

from __future__ import annotations

__all__ = ["DROP_REASONS", "OTHER", "known"]

DROP_REASONS = frozenset(("buffer_full", "closed", "invalid", "not_refined", "shed", "spool_lost", "too_large"))
"""What our own producers say. Others may say anything, and are counted as `other`: who may write must not be able to
show a text to everybody."""
OTHER = "other"


def known(reason: str) -> str:
    """A reason of a producer, which could name any: those that nobody knows are one."""
    return reason if reason in DROP_REASONS else OTHER
