"""A newcomer's five minutes: the commands of the README, run as they stand there, against the whole product."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SECTION = "## A first line in and out"
BLOCK_SECONDS = 60.0


def _blocks() -> list[str]:
    """The shell blocks of the section."""
    text = (ROOT / "README.md").read_text()
    section = text[text.index(SECTION) :].split("\n## ")[0] if SECTION in text else ""
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home of its own, and the commands of this environment first on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MONITORING_", "REDIS_"))}
    (tmp_path / "home").mkdir()
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "HOME": str(tmp_path / "home"), "PATH": path, "MONITORING_DATA_DIR": str(tmp_path / ".data")}


@pytest.fixture
def address(tmp_path: Path, environment: dict[str, str]) -> Iterator[str]:
    """Where the product answers that was started as `make run` does it; it must end well."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    with (tmp_path / "up.err").open("wb") as errors:
        process = subprocess.Popen(
            ["monitoring", "up"],
            cwd=tmp_path,
            env={**environment, "MONITORING_PORT": "0"},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    try:
        found = None
        for line in process.stdout:
            if found := re.search(r"is up: (http://\S+?)/?$", line.strip()):
                break
        assert found, (tmp_path / "up.err").read_text()
        yield found[1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, (tmp_path / "up.err").read_text()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.timeout(180)
def test_the_first_five_minutes_of_the_readme(address: str, environment: dict[str, str], tmp_path: Path) -> None:
    outputs = []
    for block in _blocks():
        script = block.replace("http://127.0.0.1:8321", address).replace("source .venv/bin/activate\n", "")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=BLOCK_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        outputs.append(done.stdout)
    assert len(outputs) == 4
    _, files, event, health = outputs
    assert "order A-1041 created" in files
    assert "payment failed for order A-1041" in files
    assert "GET /orders/A-1041" in files
    assert "loss spiked" in files
    assert '"accepted":1' in event.replace(" ", "")
    assert event.count("payment failed") >= 2  # once by the command, once over HTTP
    assert "A-1047" in event
    assert "everything is whole and accounted for" in health


def test_the_readme_shows_both_commands_and_what_it_promises_of_them() -> None:
    text = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    assert "make run" in text
    assert "make test" in text
    assert "127.0.0.1:8321" in text
    assert "$(CURDIR)/.data" in makefile
