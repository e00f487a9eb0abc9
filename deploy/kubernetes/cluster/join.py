"""Make a cluster of Valkey nodes, or bring one together again: `python join.py REPLICAS HOST:PORT HOST:PORT …`.

Nodes that know nobody become a cluster: the first of them primaries with the slots in equal parts, REPLICAS replicas
of each behind them. Nodes that are a cluster already are introduced to each other, for containers come back with
other addresses. BUS_PASSWORD is their password, if they have one. Does nothing twice, and ends with status 0 when
every node says that all is well.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable

import redis

SLOTS = 16384
PATIENCE_SECONDS = 120.0


class Node:
    """A node by the name it was given."""

    def __init__(self, name: str) -> None:
        host, _, port = name.rpartition(":")
        self.name, self.host, self.port = name, host, int(port)
        password = os.environ.get("BUS_PASSWORD")
        self.client = redis.Redis(host, self.port, password=password, socket_timeout=5, socket_connect_timeout=5)

    def say(self, *words: object) -> str:
        """The answer to a CLUSTER command."""
        answer = self.client.execute_command(f"CLUSTER {words[0]}", *words[1:])
        return answer.decode() if isinstance(answer, bytes) else str(answer)

    def known(self) -> int:
        """How many nodes it knows, itself included."""
        return int(dict(self.client.cluster("INFO"))["cluster_known_nodes"])

    def well(self) -> bool:
        """Whether it sees every slot served, and is in step if it is a replica."""
        facts, told = dict(self.client.cluster("INFO")), self.client.info("replication")
        linked = told["role"] == "master" or told["master_link_status"] == "up"
        return linked and facts["cluster_state"] == "ok" and facts["cluster_slots_ok"] == str(SLOTS)

    def place(self) -> tuple[str, int, int]:
        """Address, port and port among nodes, as the others reach it."""
        among = int(dict(self.client.config_get("cluster-port")).get("cluster-port", 0)) or self.port + 10_000
        return socket.gethostbyname(self.host), self.port, among


def main(arguments: list[str]) -> int:
    """See above."""
    replicas, nodes = int(arguments[0]), [Node(name) for name in arguments[1:]]
    primaries = len(nodes) // (1 + replicas)
    if primaries < 3:
        print(f"{len(nodes)} nodes with {replicas} replicas each are {primaries} primaries: three are needed")
        return 2
    wait_for(lambda: all(node.client.ping() for node in nodes), "every node answers")
    fresh = all(node.known() == 1 for node in nodes)
    if fresh:
        for number, node in enumerate(nodes[:primaries]):
            low, high = SLOTS * number // primaries, SLOTS * (number + 1) // primaries - 1
            node.say("ADDSLOTSRANGE", low, high)
            node.say("SET-CONFIG-EPOCH", number + 1)
    for node in nodes[1:]:
        nodes[0].say("MEET", *node.place())
    wait_for(lambda: all(node.known() == len(nodes) for node in nodes), "every node knows every node")
    if fresh:
        for number, node in enumerate(nodes[primaries:]):
            node.say("REPLICATE", nodes[number % primaries].say("MYID"))
    wait_for(lambda: all(node.well() for node in nodes), "every node is well")
    print(f"{'made' if fresh else 'found'} a cluster of {len(nodes)} nodes: {primaries} primaries", flush=True)
    return 0


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Raises TimeoutError."""
    ends, said = time.monotonic() + PATIENCE_SECONDS, ""
    while True:
        try:
            if condition():
                return
        except (redis.RedisError, OSError) as error:
            said = f": {error}"
        if time.monotonic() > ends:
            raise TimeoutError(f"not within {PATIENCE_SECONDS:g} s: {what}{said}")
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
