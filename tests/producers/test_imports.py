"""Work to be done when a module is imported: once, whoever finds and loads it, and without a trace on it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from monitoring.producers.imports import forget, when_imported


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path, whose modules are gone afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)
    yield tmp_path
    forget()
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_it_is_called_once_when_the_module_has_run(folder):
    (folder / "late_one.py").write_text("VALUE = 7\n")
    seen: list[int] = []
    when_imported("late_one", lambda module: seen.append(module.VALUE))
    assert seen == []
    module = importlib.import_module("late_one")
    importlib.reload(module)
    assert seen == [7]


def test_it_is_called_at_once_for_a_module_that_is_there(folder):
    seen: list[ModuleType] = []
    when_imported("sys", seen.append)
    assert seen == [sys]


def test_a_module_that_fails_is_waited_for_again(folder):
    path = folder / "late_two.py"
    path.write_text("raise RuntimeError('not yet')\n")
    seen: list[ModuleType] = []
    when_imported("late_two", seen.append)
    with pytest.raises(RuntimeError, match="not yet"):
        importlib.import_module("late_two")
    assert seen == []
    path.write_text("VALUE = 12345\n")
    importlib.invalidate_caches()
    module = importlib.import_module("late_two")
    assert seen == [module]


def test_a_module_that_does_not_exist_stays_missing(folder):
    when_imported("late_nowhere", lambda module: None)
    assert importlib.util.find_spec("late_nowhere") is None
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("late_nowhere")


def test_a_package_in_a_zip_file_and_its_other_modules(folder, monkeypatch):
    archive = folder / "late.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("late_zipped/__init__.py", "from late_zipped.part import VALUE\n")
        file.writestr("late_zipped/part.py", "VALUE = 7\n")
        file.writestr("late_other.py", "VALUE = 8\n")
    monkeypatch.syspath_prepend(archive)
    seen: list[str] = []
    when_imported("late_zipped", lambda module: seen.append(module.__name__))
    importlib.import_module("late_zipped")
    importlib.import_module("late_other")
    assert seen == ["late_zipped"]


def test_what_is_forgotten_is_not_called_and_leaves_no_finder(folder):
    (folder / "late_three.py").write_text("")
    seen: list[ModuleType] = []
    when_imported("late_three", seen.append)
    before = list(sys.meta_path)
    forget()
    assert len(sys.meta_path) == len(before) - 1
    importlib.import_module("late_three")
    assert seen == []
