"""The supervisor's decisions; what it does to processes is tested with `monitoring up`."""

from __future__ import annotations

import json
import logging
import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.cli.log import configure
from monitoring.cli.supervisor import Backoff, describe_status
from monitoring.pipeline.settings import load


@given(st.lists(st.floats(0, 59), min_size=1, max_size=50))
def test_who_falls_again_and_again_waits_longer_and_longer_up_to_half_a_minute(lives: list[float]) -> None:
    backoff = Backoff()
    pauses = [backoff.next(lived) for lived in lives]
    assert pauses[0] == 0.5
    assert pauses == sorted(pauses)
    assert max(pauses) <= 30
    assert backoff.next(60) == 0.5


def test_an_end_is_put_in_words() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(3)
    assert describe_status(os.waitpid(pid, 0)[1]) == "ended with exit status 3"
    pid = os.fork()
    if pid == 0:
        signal.pause()
    os.kill(pid, signal.SIGKILL)
    assert describe_status(os.waitpid(pid, 0)[1]) == "was ended by SIGKILL"


@pytest.fixture(autouse=True)
def _logging_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undoes what a test configures."""
    root, ours = logging.getLogger(), logging.getLogger("monitoring")
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(ours, "level", ours.level)


def test_the_log_for_machines_is_one_object_a_line_exceptions_included(capsys: pytest.CaptureFixture[str]) -> None:
    configure(load({"LOG_FORMAT": "json"}), "drain-1")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("monitoring.test").exception("it %s", "failed")
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["message"], line["service"]) == ("ERROR", "it failed", "monitoring-drain-1")
    assert "two\nlines" in line["exception"]["stacktrace"]


def test_the_level_is_ours_to_set_and_libraries_stay_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    configure(load({"LOG_LEVEL": "DEBUG"}), "api")
    logging.getLogger("monitoring.test").debug("ours")
    logging.getLogger("library").debug("theirs")
    written = capsys.readouterr().err
    assert "DEBUG api: ours" in written
    assert "theirs" not in written
