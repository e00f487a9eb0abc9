"""Roll-over in three steps, each of which can be done again by whoever takes over.

    1  old segment: commit `sealed, next = n`, conditional on the epoch          (seal)
    2  n.tmp: marks, poison, epoch and what its contents carry on; fsync; link to n.db        (follow)
    3  catalog: the old one is sealed, the new one is there                      (follow)

Between 1 and 2 nothing can be written, so the marks that 2 copies are final whoever copies them.
"""

from __future__ import annotations

from pathlib import Path

from monitoring.pipeline import failpoint
from monitoring.pipeline.errors import Fenced, StoreCorrupt
from monitoring.pipeline.store.catalog import Catalog, segment_path
from monitoring.pipeline.store.contents import Contents
from monitoring.pipeline.store.kinds import kind_of
from monitoring.pipeline.store.segment import Segment, create

__all__ = ["MARK_TTL_SECONDS", "follow", "request", "requested", "seal"]

MARK_TTL_SECONDS = 8 * 86_400
"""A lane not seen for so long is forgotten at the next roll-over; its frames are stale a day earlier."""


def request(path: Path) -> None:
    """Ask the holder of this active segment to seal it, however small and young it is; it does within seconds."""
    _request_of(path).touch()


def requested(path: Path) -> bool:
    """Whether somebody asked for that."""
    return _request_of(path).exists()


def _request_of(path: Path) -> Path:
    return path.with_suffix(".seal")


def seal(segment: Segment, *, now_ns: int) -> None:
    """Step 1. Raises Fenced, StoreFull."""
    with segment.transaction() as connection:
        connection.execute("UPDATE head SET sealed = ?, next = number + 1", (now_ns,))


def follow(segment: Segment, catalog: Catalog, *, now_ns: int, kind: type[Contents] | None = None) -> Path:
    """Steps 2 and 3 for a sealed segment; the path of the next one, of the same kind unless told. Raises Fenced,
    StoreFull."""
    connection = segment.connection
    head = segment.head()
    if head.next is None:
        raise StoreCorrupt(f"{segment.path} is not sealed: it has no successor")
    oldest = now_ns - MARK_TTL_SECONDS * 1_000_000_000
    committed, dead = connection.execute(
        "SELECT ifnull(sum(committed), 0), ifnull(sum(dead_lettered), 0) FROM mark WHERE seen < ?", (oldest,)
    ).get
    path = segment_path(catalog.data, head.signal, head.partition, head.next)
    try:
        create(
            path,
            signal=head.signal,
            partition=head.partition,
            number=head.next,
            now_ns=now_ns,
            epoch=head.epoch,
            holder=head.holder,
            marks=list(connection.execute("SELECT * FROM mark WHERE seen >= ?", (oldest,))),
            expired=(head.expired_committed + committed, head.expired_dead + dead),
            poison=list(connection.execute("SELECT * FROM poison")),
            contents=kind_of(connection, head.signal).carried(connection, oldest),
            kind=kind or kind_of(connection, head.signal),
        )
    except FileNotFoundError as error:
        raise Fenced(f"{path.name} was made by another process") from error
    failpoint.hit("rollover.linked")
    if segment.head().epoch != segment.epoch:
        # Another process followed it meanwhile. If retention has deleted its file since, the one just linked is a
        # ghost with old marks, which must not be written to.
        raise Fenced(f"{segment.path.name} was taken over while it rolled over")
    catalog.note_sealed(head, segment.bytes())
    catalog.note_active(head.signal, head.partition, head.next)
    _request_of(segment.path).unlink(missing_ok=True)
    failpoint.hit("rollover.cataloged")
    return path
