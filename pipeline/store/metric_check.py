"""What verification finds out about packed rows: that they can be read, and say of themselves what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import apsw

from monitoring.pipeline.errors import StoreCorrupt
from monitoring.pipeline.store.deltas import WINDOW_NS
from monitoring.pipeline.store.metric_codec import Codec, Packed
from monitoring.pipeline.store.metric_pack import PACK, packed_blocks, packed_rows, packed_totals

__all__ = ["Inside", "inside"]


class Inside(NamedTuple):
    """First and last window of all packed points, None where there are none, and what is wrong with them."""

    first: int | None
    last: int | None
    findings: list[str]


def inside(connection: apsw.Connection) -> Inside:
    """Look into every packed row of a segment."""
    codec, ends, findings = Codec(), list[int](), list[str]()
    kinds = dict(connection.execute("SELECT series.id, kind FROM series JOIN family ON family = family.id"))
    for block in packed_blocks(connection):
        totals = dict(connection.execute("SELECT id, total FROM packed WHERE id >> 44 = ?", (block,)))
        for row in packed_rows(connection, [block]):
            where = f"block {block} of series {row.series}"
            if row.series not in kinds:
                findings.append(f"{where} is of no series")
                continue
            try:
                packed = codec.decode(row.data)
            except StoreCorrupt as error:
                findings.append(f"{where}: {error}")
                continue
            ends += [block * PACK + place for place in _ends(packed, kinds[row.series])]
            findings += _totals_differ(where, kinds[row.series], packed, totals.get(row.id))
    return Inside(min(ends, default=None), max(ends, default=None), findings)


def _ends(packed: Packed, kind: str) -> tuple[int, int]:
    if kind == "sample":
        window_ms = WINDOW_NS // 1_000_000
        times = packed.columns[0][0]
        return int(times[0]) // window_ms, int(times[-1]) // window_ms
    return int(packed.places[0]), int(packed.places[-1])


def _totals_differ(where: str, kind: str, packed: Packed, total: object) -> Iterator[str]:
    if kind in ("counter", "histogram") and packed_totals(packed, kind) != total:
        yield f"{where}: its total is another than its points come to"
