"""The command line as a whole: what it offers and how it fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from monitoring.cli import COMMANDS, main
from monitoring.consumers import stop


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_in_the_table_exists_and_explains_itself(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert command.help


def test_the_help_names_every_command_and_a_first_line_without_importing_any() -> None:
    program = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from monitoring.cli import COMMANDS, main\n"
        "output = CliRunner().invoke(main, ['--help']).output\n"
        "assert all(name in output for name in COMMANDS), output\n"
        "assert 'monitoring up' in output\n"
        "heavy = {'redis', 'rq', 'flask', 'gunicorn', 'apsw', 'rich', 'orjson'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_misspelt_command_is_wrong_usage_and_the_nearest_is_named() -> None:
    result = CliRunner().invoke(main, ["statsu"])
    assert result.exit_code == 2
    assert "status" in result.output


def test_it_says_its_version() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert result.output.startswith("monitoring, version")


def test_python_dash_m_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "monitoring", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("monitoring, version")


@pytest.mark.parametrize("command", ["up", "api", "worker", "ticker"])
def test_a_cluster_as_the_bus_needs_a_server_for_the_jobs_and_says_so(command: str, tmp_path: Path) -> None:
    environment = {
        "MONITORING_DATA_DIR": str(tmp_path),
        "REDIS_URL": "redis+cluster://127.0.0.1:1",
        "MONITORING_PORT": "0",
    }
    result = CliRunner().invoke(main, [command], env=environment)
    assert result.exit_code == 2
    assert "set MONITORING_QUEUE_URL" in result.output
    assert not stop.requested(), "nothing had been started that would have to be stopped"
