"""Saved searches: what is saved is a query that can be run, by a name that can be typed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.pipeline.errors import PermanentError, QuerySyntaxError
from monitoring.pipeline.store import searches as module
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.searches import SavedSearch, Searches


@pytest.fixture
def searches(tmp_path: Path) -> Iterator[Searches]:
    with contextlib.closing(Control(tmp_path / "control.db")) as control:
        yield Searches(control, now_ns=lambda: 7)


def test_a_search_is_saved_replaced_listed_by_name_and_removed(searches: Searches) -> None:
    searches.save("slow", "duration_ms:>500")
    searches.save("errors", "level:error")
    assert searches.save("slow", "duration_ms:>900") == SavedSearch("slow", "duration_ms:>900", 7)
    assert [each.name for each in searches.all()] == ["errors", "slow"]
    assert searches.get("slow") == searches.remove("slow")
    assert searches.get("slow") is None is searches.remove("slow")


@pytest.mark.parametrize("name", ["", " ", "-x", "a/b", "x" * 65, "a\nb"])
def test_a_name_that_cannot_be_typed_is_refused(searches: Searches, name: str) -> None:
    with pytest.raises(PermanentError, match=r"^name:"):
        searches.save(name, "x")


def test_a_query_that_cannot_be_run_is_refused(searches: Searches) -> None:
    with pytest.raises(QuerySyntaxError):
        searches.save("x", "level:")


def test_there_are_only_so_many(searches: Searches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SEARCHES", 2)
    searches.save("a", "x")
    searches.save("b", "x")
    searches.save("b", "y")
    with pytest.raises(PermanentError, match="remove one"):
        searches.save("c", "x")
