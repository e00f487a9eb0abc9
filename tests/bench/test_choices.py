"""The figures in docs/decisions can still be measured: what they compare with must not rot."""

from __future__ import annotations

import pytest

from bench import choices


def test_every_comparison_of_the_decisions_runs(capsys: pytest.CaptureFixture[str]) -> None:
    choices.main(["all", "--events", "3000", "--frames", "100"])
    printed = capsys.readouterr().out
    for variant in choices.VARIANTS:
        assert variant.name in printed
    assert "of 10,000 times" in printed
    assert "us/event" in printed
