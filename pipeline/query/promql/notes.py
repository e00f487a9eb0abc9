"""What an answer says beside its values: warnings and infos, in Prometheus' words (its `util/annotations`).

Prometheus adds where in the expression the trouble is; our parser keeps no places, so that part is missing.
"""

from __future__ import annotations

__all__ = ["Notes", "number_text"]

_COUNTERS = ("_total", "_sum", "_count", "_bucket")
_WARNING, _INFO = "PromQL warning: ", "PromQL info: "
_MONOTONICITY = (
    "input to histogram_quantile needed to be fixed for monotonicity "
    "(see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
)


def number_text(value: float) -> str:
    """A number as Go's %g writes it."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(float(value))
    if ("e" not in text and 1e-4 <= abs(value) < 1e21) or value == 0:
        return text.removesuffix(".0")
    return next(shortest for places in range(17) if float(shortest := f"{value:.{places}e}") == value)


class Notes:
    """Each is kept once, in the order in which they came up."""

    def __init__(self) -> None:
        self._warnings: dict[str, None] = {}
        self._infos: dict[str, None] = {}

    @property
    def warnings(self) -> list[str]:
        """The answer may not be what was meant."""
        return list(self._warnings)

    @property
    def infos(self) -> list[str]:
        """The answer is right, but the question looks odd."""
        return list(self._infos)

    def warn(self, text: str) -> None:
        """Keep a warning."""
        self._warnings[_WARNING + text] = None

    def inform(self, text: str) -> None:
        """Keep an info."""
        self._infos[_INFO + text] = None

    def quantile(self, value: float) -> None:
        """Warn where a quantile is none."""
        if not 0 <= value <= 1:
            self.warn(f"quantile value should be between 0 and 1, got {number_text(value)}")

    def ratio(self, value: float, capped: float) -> None:
        """Warn of a ratio of limit_ratio that is too large."""
        got, to = number_text(value), number_text(capped)
        self.warn(f"ratio value should be between -1 and 1, got {got}, capping to {to}")

    def bucket(self, label: str, name: str) -> None:
        """Warn of a bucket whose bound is no number."""
        of = f' for metric name "{name}"' if name else ""
        self.warn(f'bucket label "le" is missing or has a malformed value of "{label}"{of}')

    def counter(self, name: str) -> None:
        """Tell where the name of a metric that is taken for a counter is not one of a counter."""
        if name and not name.endswith(_COUNTERS):
            text = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket:"
            self.inform(f'{text} "{name}"')

    def monotonicity(self, name: str) -> None:
        """Tell where buckets that should only grow did not."""
        self.inform(_MONOTONICITY + (f' for metric name "{name}"' if name else ""))
