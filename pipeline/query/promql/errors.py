"""Why a PromQL query has no answer."""

from __future__ import annotations

from typing import Literal, NoReturn

from monitoring.pipeline.errors import PermanentError

__all__ = ["Kind", "PromqlError", "fail"]

Kind = Literal["bad_data", "execution", "timeout"]
"""Prometheus' `errorType`s: what is asked makes no sense; it could not be computed; it took too long."""


class PromqlError(PermanentError):
    """A PromQL query that has no answer. The texts are Prometheus', which people look up."""

    def __init__(self, message: str, kind: Kind = "execution") -> None:
        super().__init__(message)
        self.kind: Kind = kind


def fail(message: str) -> NoReturn:
    """End the query: its data or its arguments cannot be computed with."""
    raise PromqlError(message)
