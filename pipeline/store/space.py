"""What SQLite says of disks, as our errors: a full one, in several ways that pass when space returns, and damage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from monitoring.pipeline.errors import StoreCorrupt, StoreFull

__all__ = ["space_needed"]


@contextmanager
def space_needed(path: Path) -> Iterator[None]:
    """Turn SQLite's errors of a full disk into StoreFull, and those of a damaged file into StoreCorrupt.

    FullError: a page does not fit. IOError: a write or fsync failed, or a log's index could not grow. CantOpenError: a
    log could not be made.
    """
    try:
        yield
    except (apsw.FullError, apsw.IOError, apsw.CantOpenError) as error:
        raise StoreFull(f"{path}: {error}: free disk space, ingest goes on by itself") from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StoreCorrupt(f"{path} is damaged ({error}): restore it from a backup, or move it away") from error
