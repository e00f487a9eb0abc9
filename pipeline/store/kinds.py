"""The kinds of segments: the contents of each signal."""

from __future__ import annotations

from collections.abc import Mapping

from monitoring.pipeline.errors import StoreCorrupt
from monitoring.pipeline.store.contents import Contents
from monitoring.pipeline.store.log_segment import LogContents
from monitoring.pipeline.store.metric_segment import MetricContents

__all__ = ["CONTENTS", "contents_of"]

CONTENTS: Mapping[str, type[Contents]] = {"logs": LogContents, "metrics": MetricContents}


def contents_of(signal: str) -> type[Contents]:
    """The kind of a segment of this signal. Raises StoreCorrupt where this release knows none."""
    found = CONTENTS.get(signal)
    if found is None:
        raise StoreCorrupt(f"a segment of {signal} is of no kind that this release knows: upgrade it")
    return found
