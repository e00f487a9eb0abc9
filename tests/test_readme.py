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


def _blocks(text: str) -> list[str]:
    """The shell blocks of a page or a section."""
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


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


class Terminal:
    """A shell that keeps what it exports, as the one that a newcomer types into."""

    def __init__(self, address: str, environment: dict[str, str], directory: Path) -> None:
        self._address, self._environment, self._directory = address, environment, directory
        self._exported = ""

    def run(self, block: str) -> str:
        """What a block printed; it must succeed."""
        script = block.replace("http://127.0.0.1:8321", self._address).replace("source .venv/bin/activate\n", "")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self._exported + script],
            cwd=self._directory,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=BLOCK_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        self._exported += "".join(line + "\n" for line in script.splitlines() if line.startswith("export "))
        return done.stdout


@pytest.mark.timeout(240)
def test_a_newcomer_s_first_minutes_go_as_the_readme_and_the_first_page_say(
    address: str, environment: dict[str, str], tmp_path: Path
) -> None:
    readme = (ROOT / "README.md").read_text()
    terminal = Terminal(address, environment, tmp_path)
    blocks = _blocks(readme[readme.index(SECTION) :].split("\n## ")[0])
    _, files, event, health = [terminal.run(block) for block in blocks]
    assert "order A-1041 created" in files
    assert "payment failed for order A-1041" in files
    assert "GET /orders/A-1041" in files
    assert "loss spiked" in files
    assert '"accepted":1' in event.replace(" ", "")
    assert event.count("payment failed") >= 2  # once by the command, once over HTTP
    assert "A-1047" in event
    assert "everything is whole and accounted for" in health

    blocks = _blocks((ROOT / "docs" / "start.md").read_text())
    _, files, program, rule, alert = [terminal.run(block) for block in blocks]
    assert "order A-1041 created" in files
    assert "revenue of shop.log" in program
    assert "example_orders_total" in program
    assert "Order errors" in rule
    assert "errors of shop in 5 minutes" in alert


def test_the_readme_shows_both_commands_and_what_it_promises_of_them() -> None:
    text = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    assert "make run" in text
    assert "make test" in text
    assert "127.0.0.1:8321" in text
    assert "$(CURDIR)/.data" in makefile
