"""Matchers: which series are meant, by their labels. A label that a series does not have is the empty text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from monitoring.pipeline.errors import PermanentError

__all__ = ["Matcher", "Operator"]

Operator = Literal["=", "!=", "=~", "!~"]


class Matcher(NamedTuple):
    """One condition on a label. Regular expressions are RE2's and match the whole value, as in Prometheus."""

    label: str
    operator: Operator
    value: str

    def test(self) -> Callable[[str], bool]:
        """Whether a value of the label fits. Raises PermanentError for an expression that RE2 does not know."""
        if self.operator in ("=", "!="):
            wanted, equal = self.value, self.operator == "="
            return lambda value: (value == wanted) == equal
        import re2

        options = re2.Options()
        options.log_errors = False
        options.dot_nl = True
        try:
            expression = re2.compile(self.value, options)
        except re2.error as error:
            raise PermanentError(f"{self.label}{self.operator}{self.value!r}: {error}") from None
        positive = self.operator == "=~"
        return lambda value: (expression.fullmatch(value) is not None) == positive
