"""Every SQLite file has a version, and an older program refuses a newer file with a message that helps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from monitoring.pipeline.errors import StoreCorrupt
from monitoring.pipeline.ingest.state import IngestState
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.pipeline.store.metric_files import opened_rollup
from monitoring.pipeline.store.metric_rollup import APPLICATION_ID
from monitoring.pipeline.store.segment import Segment, create, open_readonly
from monitoring.pipeline.store.versions import known_schemas, newer_files, version_of
from tests.frames import T0


def make_segment(path: Path) -> None:
    create(path, signal="logs", partition=0, number=1, now_ns=T0)


def make_rollup(path: Path) -> None:
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        connection.execute("CREATE TABLE anything(x)")
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", known_schemas()["rollup"])


def read_rollup(path: Path) -> None:
    with opened_rollup(path, None):
        pass


FILES: dict[str, tuple[str, str, Callable[[Path], object], Callable[[Path], object]]] = {
    "catalog": ("catalog", CATALOG_FILE, lambda path: Catalog.create_or_open(path, partitions=1).close(), Catalog),
    "catalog, made": (
        "catalog", CATALOG_FILE, lambda path: Catalog.create_or_open(path, partitions=1).close(),
        lambda path: Catalog.create_or_open(path, partitions=1),
    ),
    "control": ("control", FILE_NAME, lambda path: Control(path).close(), Control),
    "ingest": (
        "ingest", "ingest.db", lambda path: IngestState(path.parent).close(), lambda path: IngestState(path.parent),
    ),
    "segment, read": ("segment", "000001.db", make_segment, open_readonly),
    "segment, written": ("segment", "000001.db", make_segment, Segment),
    "rollup": ("rollup", "000001-0-1.db", make_rollup, read_rollup),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_its_version_and_a_newer_one_is_refused_and_left_as_it_is(tmp_path: Path, name: str) -> None:
    kind, file, make, open_ = FILES[name]
    path = tmp_path / file
    make(path)
    assert version_of(path) == known_schemas()[kind] >= 1
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        connection.pragma("user_version", 99)
        connection.pragma("journal_mode", "delete")
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt, match=r"newer release|upgrade|99") as refused:
        open_(path)
    assert str(path) in str(refused.value)
    assert path.read_bytes()[100:] == before[100:]  # behind the header, where opening may note the journal's kind
    assert version_of(path) == 99


def test_newer_files_of_a_directory_are_found_wherever_they_are(tmp_path: Path) -> None:
    Catalog.create_or_open(tmp_path / CATALOG_FILE, partitions=1).close()
    (tmp_path / "logs" / "p0").mkdir(parents=True)
    segment = tmp_path / "logs" / "p0" / "000001.db"
    make_segment(segment)
    assert newer_files(tmp_path) == []
    for path in (tmp_path / CATALOG_FILE, segment):
        with contextlib.closing(apsw.Connection(str(path))) as connection:
            connection.pragma("user_version", 7)
    assert [(found.path, found.version) for found in newer_files(tmp_path)] == [
        (tmp_path / CATALOG_FILE, 7), (segment, 7),
    ]  # fmt: skip
    assert newer_files(tmp_path / "nothing") == []
