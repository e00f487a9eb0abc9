"""The bus as a cluster of six nodes, three primaries and a replica of each, each in a network of its own.

The nodes' networks are namespaces joined by a bridge, which only root can make; else all nodes listen on loopback and
the faults of the network are left out.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import redis

from monitoring.pipeline.bus.streams import connect
from monitoring.pipeline.errors import BusUnavailable
from tests.cluster import ClusterServer, ValkeyCluster
from tests.faults.bus import PARTITIONS, Bus, streams, wait_until

__all__ = ["NODE_TIMEOUT_SECONDS", "ClusterBus", "Networks"]

NODES = 6
NODE_TIMEOUT_SECONDS = 2.0
"""Low, so that a failover takes seconds; the default is 15 s."""


class Networks:
    """A namespace for each node, joined by a bridge of this host. `why` tells why there are none, or is ""."""

    def __init__(self, count: int) -> None:
        self._bridge = f"mon{os.getpid() % 1_000_000}"
        self._net = f"10.213.{os.getpid() % 250}"
        self.addresses = [f"{self._net}.{number + 1}" for number in range(count)]
        self.names = [f"{self._bridge}n{number}" for number in range(count)]
        self.why = ""
        if os.geteuid() != 0 or shutil.which("ip") is None:
            self.why = "network namespaces need root and the command ip"
            return
        try:
            self._make()
        except subprocess.CalledProcessError as error:
            self.why = f"network namespaces cannot be made here: {error.stderr.decode().strip()}"
            self.close()

    def prefix(self, number: int) -> list[str]:
        """Words before the command that is to run in the node's network."""
        return ["ip", "netns", "exec", self.names[number]]

    @contextlib.contextmanager
    def cut_off(self, number: int) -> Iterator[None]:
        """The node reaches nobody and nobody reaches it; connections stay open and silent."""
        _ip("link", "set", self._port(number), "down")
        try:
            yield
        finally:
            _ip("link", "set", self._port(number), "up")

    @contextlib.contextmanager
    def cut_from_nodes(self, number: int) -> Iterator[None]:
        """The node and the other nodes do not hear each other; clients reach all of them."""
        others = [address for other, address in enumerate(self.addresses) if other != number]
        for address in others:
            _ip("-n", self.names[number], "route", "add", "blackhole", f"{address}/32")
        try:
            yield
        finally:
            for address in others:
                _ip("-n", self.names[number], "route", "del", "blackhole", f"{address}/32")

    def close(self) -> None:
        """Remove all of it."""
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", self._bridge], capture_output=True, check=False)

    def _port(self, number: int) -> str:
        return f"{self._bridge}v{number}"

    def _make(self) -> None:
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("addr", "add", f"{self._net}.254/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        for number, (name, address) in enumerate(zip(self.names, self.addresses, strict=True)):
            _ip("netns", "add", name)
            _ip("link", "add", self._port(number), "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("link", "set", self._port(number), "master", self._bridge, "up")
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "link", "set", "lo", "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], capture_output=True, check=True)


class ClusterBus:
    """The bus and, beside it, a plain server for the jobs.

    `forgotten` counts failovers to a replica that lacked entries whose XADD had been answered.
    """

    def __init__(self, directory: Path) -> None:
        self.networks = Networks(NODES)
        alone = bool(self.networks.why)
        self.cluster = ValkeyCluster(
            primaries=3, replicas=1, root=directory, node_timeout_ms=int(NODE_TIMEOUT_SECONDS * 1000),
            prefixes=() if alone else [self.networks.prefix(number) for number in range(NODES)],
            addresses=() if alone else self.networks.addresses,
            appendonly="yes", protected_mode="no", maxmemory="1gb", repl_ping_replica_period="1", repl_timeout="10",
        )  # fmt: skip
        self.url, self.forgotten = self.cluster.url, 0
        self.cluster.start()
        self.queue = Bus(directory.with_name("queue"))
        self.client = connect(self.url)
        self.spread()

    @property
    def queue_url(self) -> str:
        """What carries the jobs."""
        return self.queue.url

    def spread(self) -> None:
        """Have each partition of the logs on a primary of its own."""
        owners = {number: self.cluster.owner(stream(number)) for number in range(PARTITIONS)}
        if len(set(map(id, owners.values()))) < PARTITIONS:
            self.cluster.move(stream(PARTITIONS - 1), self.another(owners[0]))

    def another(self, node: ClusterServer, chance: random.Random | None = None) -> ClusterServer:
        """A primary that is not this node."""
        others = [each for each in self.cluster.nodes if each is not node and each.is_primary]
        return (chance or random.Random(0)).choice(others)

    def owner(self, chance: random.Random) -> tuple[int, ClusterServer]:
        """A partition of the logs and the primary that holds it."""
        number = chance.randrange(PARTITIONS)
        wait_until(lambda: self._owned(number), f"somebody has {stream(number)}", seconds=90)
        return number, self.cluster.owner(stream(number))

    def replica_of(self, primary: ClusterServer) -> ClusterServer | None:
        """A replica that follows this primary and is in step, if there is one."""
        for node in self.cluster.nodes:
            with contextlib.suppress(redis.RedisError, OSError):
                told = node.client.info("replication")
                if told["role"] == "slave" and int(told["master_port"]) == primary.port:
                    return node if told["master_link_status"] == "up" else None
        return None

    def lengths(self) -> int:
        """Entries in all streams; more than none while that cannot be told."""
        try:
            return sum(int(self.client.xlen(key)) for key in streams())
        except Exception:  # redis-py's many; the caller asks again
            return 1

    def close(self) -> None:
        """End all of it."""
        self.client.close()
        self.cluster.close()
        self.queue.close()
        self.networks.close()

    def _owned(self, number: int) -> bool:
        with contextlib.suppress(AssertionError, BusUnavailable):
            return bool(self.cluster.owner(stream(number)))
        return False


def stream(number: int) -> str:
    """Name of a partition's stream."""
    return f"monitoring:{{logs:{number}}}"


def settle(seconds: float, chance: random.Random) -> None:
    """Some time in which events flow."""
    time.sleep(seconds * chance.random())
