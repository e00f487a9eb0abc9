"""Log calls within log calls have a limit, in each context for itself."""

from __future__ import annotations

import contextvars

import pytest

from monitoring.producers import foreign


def test_it_answers_and_raises_as_the_function_does() -> None:
    assert foreign.call(int, "7") == 7
    with pytest.raises(ValueError, match="invalid literal"):
        foreign.call(int, "x")


def test_beyond_the_limit_it_raises_and_comes_back_to_where_it_was() -> None:
    depths: list[int] = []

    def nest() -> None:
        depths.append(len(depths))
        foreign.call(nest)

    for _ in range(2):
        depths.clear()
        with pytest.raises(RecursionError):
            foreign.call(nest)
        assert len(depths) == foreign.MAX_NESTED


def test_another_context_begins_at_nothing() -> None:
    def elsewhere() -> None:
        assert contextvars.Context().run(foreign.call, foreign.call, int, "7") == 7

    foreign.call(foreign.call, elsewhere)
