"""The figures in docs/redaction.md can still be measured."""

from __future__ import annotations

import pytest

from bench import redact


def test_every_row_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    redact.main(["--events", "1000"])
    printed = capsys.readouterr().out
    for row in ("nothing to hide", "random ids", "one of 20", "in each", "own patterns", "in `re`", "times as much"):
        assert row in printed
