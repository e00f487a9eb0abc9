"""The kinds of segments: what the files of each signal hold.

Of logs there are two: events and their index, or the ledger of a store whose events lie on a server.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import apsw

from monitoring.pipeline.errors import StoreCorrupt
from monitoring.pipeline.store.clickhouse.ledger import LedgerContents
from monitoring.pipeline.store.contents import Contents
from monitoring.pipeline.store.log_segment import LogContents
from monitoring.pipeline.store.metric_segment import MetricContents

__all__ = ["CONTENTS", "check_followed_by", "contents_of", "kind_of"]

CONTENTS: Mapping[str, type[Contents]] = {"logs": LogContents, "metrics": MetricContents}


def contents_of(signal: str) -> type[Contents]:
    """What segments of this signal are unless told otherwise. Raises StoreCorrupt where this release knows no kind."""
    found = CONTENTS.get(signal)
    if found is None:
        raise StoreCorrupt(f"a segment of {signal} is of no kind that this release knows: upgrade it")
    return found


def kind_of(connection: apsw.Connection, signal: str) -> type[Contents]:
    """The kind of the segment behind this connection. Raises StoreCorrupt where this release knows none."""
    is_ledger = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'outgoing'").get
    return LedgerContents if is_ledger else contents_of(signal)


def check_followed_by(old: type[Contents], new: type[Contents], path: Path) -> None:
    """Raises StoreCorrupt where a segment of one kind may not be followed by one of the other.

    A ledger knows of rows on a server, which a store without that server would count as lost.
    """
    if old is LedgerContents:
        raise StoreCorrupt(
            f"{path} is the ledger of a ClickHouse store: set MONITORING_STORE as it was, or another data directory"
        )
