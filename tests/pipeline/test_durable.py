"""Files that are made once, whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitoring.pipeline.durable import sync, write_once


def test_a_file_is_made_once_for_its_owner_alone_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert write_once(path, "first\n")
    assert not write_once(path, "second\n")
    assert path.read_text() == "first\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        write_once(tmp_path / "key", "\u00fc")
    assert not list(tmp_path.iterdir())


def test_files_and_directories_are_synced(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    sync(tmp_path / "a")
    sync(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "b")
