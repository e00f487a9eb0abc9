"""Faults of a bus that is a cluster: nodes die, stand still, are cut off, slots move; all while events flow."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable

import psutil
import redis

from tests.cluster import ClusterServer
from tests.faults.bus import PARTITIONS, wait_until
from tests.faults.cluster_bus import NODE_TIMEOUT_SECONDS, ClusterBus, settle, stream
from tests.faults.kinds import Kind
from tests.faults.product import Product

__all__ = ["possible_of_cluster"]

_FAILOVER_SECONDS = 60.0


def _bus(product: Product) -> ClusterBus:
    assert isinstance(product.bus, ClusterBus)
    return product.bus


def _recovered(product: Product) -> float:
    """Seconds until events are searchable again; then the nodes may find together, as they would between faults."""
    seconds = product.wait_for_progress(seconds=180)
    _bus(product).cluster.wait_until_well()
    return seconds


def _taken_over(bus: ClusterBus, number: int, old: ClusterServer) -> None:
    """Wait until another node has the partition."""

    def another() -> bool:
        with contextlib.suppress(AssertionError):
            return bus.cluster.owner(stream(number)) is not old
        return False

    wait_until(another, f"{stream(number)} has another primary", seconds=_FAILOVER_SECONDS)


def _kill_primary(product: Product, chance: random.Random) -> None:
    """Its replica takes over; it comes back as a replica."""
    bus = _bus(product)
    number, node = bus.owner(chance)
    settle(1, chance)
    node.kill()
    _taken_over(bus, number, node)
    settle(2, chance)
    node.start()


def _kill_primary_shortly(product: Product, chance: random.Random) -> None:
    """It is back, from its append-only file, before anybody has taken over, or just then."""
    _, node = _bus(product).owner(chance)
    node.kill()
    settle(1.5 * NODE_TIMEOUT_SECONDS, chance)
    node.start()


def _pause_primary(product: Product, chance: random.Random) -> None:
    """It stands still until another has taken over, and wakes taking itself for the primary."""
    bus = _bus(product)
    number, node = bus.owner(chance)
    node.pause()
    try:
        _taken_over(bus, number, node)
        settle(2, chance)
    finally:
        node.resume()


def _pause_primary_shortly(product: Product, chance: random.Random) -> None:
    _, node = _bus(product).owner(chance)
    node.pause()
    settle(NODE_TIMEOUT_SECONDS, chance)
    node.resume()


def _fail_over_to_the_past(product: Product, chance: random.Random) -> None:
    """The replica has not heard of the last seconds when its primary dies: what was answered is gone."""
    bus = _bus(product)
    number, node = bus.owner(chance)
    wait_until(lambda: bus.replica_of(node) is not None, "its replica is in step", seconds=60)
    replica = bus.replica_of(node)
    assert replica is not None
    mark, value = f"{stream(number)}:mark", f"{chance.random()}"
    replica.pause()
    node.client.client_kill_filter(_type="replica")  # what is in the connection would still be read
    time.sleep(0.3 + chance.random())
    node.client.set(mark, value, ex=600)  # it is answered as the frames before and behind it are
    time.sleep(0.2)
    node.kill()
    replica.resume()
    _taken_over(bus, number, node)
    if bus.cluster.owner(stream(number)).client.get(mark) != value.encode():
        bus.forgotten += 1
    settle(1, chance)
    node.start()


def _fail_over(product: Product, chance: random.Random) -> None:
    """An operator asks a replica to take over."""
    bus = _bus(product)
    number, node = bus.owner(chance)
    replica = bus.replica_of(node)
    if replica is not None:
        replica.client.execute_command("CLUSTER FAILOVER")
        _taken_over(bus, number, node)


def _move_slots(product: Product, chance: random.Random) -> None:
    """Both partitions go around, one after the other."""
    bus = _bus(product)
    for number in chance.sample(range(PARTITIONS), PARTITIONS):
        node = bus.cluster.owner(stream(number))
        bus.cluster.move(stream(number), bus.another(node, chance))
        settle(1, chance)


def _move_slot_slowly(product: Product, chance: random.Random) -> None:
    """The stream has moved and its slot has not, for seconds: every command is answered ASK."""
    bus = _bus(product)
    number, node = bus.owner(chance)
    bus.cluster.move(stream(number), bus.another(node, chance), between=lambda: time.sleep(1 + 2 * chance.random()))


def _cut_off(product: Product, chance: random.Random) -> None:
    bus = _bus(product)
    number, node = bus.owner(chance)
    with bus.networks.cut_off(bus.cluster.nodes.index(node)):
        _taken_over(bus, number, node)
        settle(2, chance)


def _cut_from_nodes(product: Product, chance: random.Random) -> None:
    """Producers and drains go on with a primary that the others have given up: what it answers will be forgotten."""
    bus = _bus(product)
    number, node = bus.owner(chance)
    with bus.networks.cut_from_nodes(bus.cluster.nodes.index(node)):
        others = [each for each in bus.cluster.nodes if each is not node]
        wait_until(lambda: _owned_by_other(others, number, node), "the others have another primary", seconds=60)
        settle(2, chance)


def _owned_by_other(others: list[ClusterServer], number: int, node: ClusterServer) -> bool:
    slot = redis.crc.key_slot(stream(number).encode())
    for other in others:
        with contextlib.suppress(redis.RedisError, OSError):
            for low, high, primary, *_ in other.client.execute_command("CLUSTER SLOTS"):
                if int(low) <= slot <= int(high):
                    return int(primary[1]) != node.port
    return False


def _kill_all_nodes(product: Product, chance: random.Random) -> None:
    """The last second of the append-only files may be missing."""
    bus = _bus(product)
    for node in bus.cluster.nodes:
        node.kill()
    settle(2, chance)
    for node in bus.cluster.nodes:
        node.start()


def _flush(product: Product, chance: random.Random) -> None:
    _, node = _bus(product).owner(chance)
    with contextlib.suppress(redis.RedisError):
        node.client.flushall()


def _kill_queue(product: Product, chance: random.Random) -> None:
    """What carries the jobs dies; drains go on, and their successors come when it is back."""
    queue = _bus(product).queue
    queue.kill()
    settle(3, chance)
    queue.start()


def _kill_horses(product: Product, chance: random.Random) -> None:
    for pid in product.horses():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _kill_producer_and_primary(product: Product, chance: random.Random) -> None:
    """What the producer knew of its last frames is gone with what the primary had not yet passed on."""
    bus = _bus(product)
    number, node = bus.owner(chance)
    node.kill()
    product.kill_producer(number)
    _taken_over(bus, number, node)
    product.start_producer(number)
    node.start()


def _scale_out_and_in(product: Product, chance: random.Random) -> None:
    """More drains come than there are partitions; then some die, and the others are asked to leave."""
    more = product.start_workers(3)
    try:
        workers = psutil.Process(more.pid)
        wait_until(lambda: len(workers.children()) == 3, "the workers have started")
        settle(6, chance)
        with contextlib.suppress(psutil.Error):
            chance.choice(workers.children()).kill()
        settle(4, chance)
    finally:
        more.send_signal(signal.SIGTERM)
        more.wait(timeout=60)


def _kind(name: str, strike: Callable[[Product, random.Random], None]) -> Kind:
    return Kind(name, strike, recovered=_recovered)


_ANYWHERE = (
    _kind("kill a primary", _kill_primary),
    _kind("kill a primary, back soon", _kill_primary_shortly),
    _kind("pause a primary past a failover", _pause_primary),
    _kind("pause a primary shortly", _pause_primary_shortly),
    _kind("fail over to a replica that lags", _fail_over_to_the_past),
    _kind("fail over on request", _fail_over),
    _kind("move slots", _move_slots),
    _kind("move a slot slowly", _move_slot_slowly),
    _kind("kill all nodes", _kill_all_nodes),
    _kind("FLUSHALL of a primary", _flush),
    _kind("kill the queue's server", _kill_queue),
    _kind("kill all work-horses", _kill_horses),
    _kind("kill a producer and its primary", _kill_producer_and_primary),
    _kind("scale out and in", _scale_out_and_in),
)
_NETWORK = (
    _kind("cut a node off", _cut_off),
    _kind("cut a node off from the nodes", _cut_from_nodes),
)


def possible_of_cluster(product: Product) -> list[Kind]:
    """The kinds that this machine allows: those of the network need namespaces."""
    return [*_ANYWHERE, *(() if _bus(product).networks.why else _NETWORK)]
