"""The faults: each hits the running product, and returns when it has struck. Recovery is measured behind it."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults import hardships
from tests.faults.backups import back_up
from tests.faults.bus import PARTITIONS, wait_until
from tests.faults.product import COUNTING, Product

__all__ = ["KINDS", "Kind", "possible", "quick"]

FAILPOINTS = (
    "drain.read", "drain.mid_transaction", "drain.committed", "drain.settle", "derived.put", "derived.sent",
    "rollover.sealed", "rollover.created", "rollover.linked", "rollover.cataloged",
)  # fmt: skip
MAINTENANCE = ("pack.packed", "pack.deleted", "rollup.made", "rollup.linked")
ALERTS = {"alerts_before_commit": True, "alerts_after_commit": False, "notify.claimed": True, "notify.landed": False}
"""Whether they are slow: rules that a killed worker had taken are looked at again after a minute."""
LEASE_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault: its name, what it does, whether it needs small file systems of its own or a faked clock.

    `recovered` waits until what was hit works again; the seconds it took. A `slow` one is not of the short form.
    """

    name: str
    strike: Callable[[Product, random.Random], None]
    recovered: Callable[[Product], float] = Product.wait_for_progress
    needs_mount: bool = False
    needs_clock: bool = False
    slow: bool = False


def possible(product: Product) -> list[Kind]:
    """The kinds that this machine allows: filling a disk needs a mount, a clock set back needs faketime."""
    clock = any(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return [
        kind
        for kind in KINDS
        if (not kind.needs_mount or len(product.mounted) == 2) and (not kind.needs_clock or clock)
    ]


def quick(product: Product) -> list[Kind]:
    """Those of them that the short form has: all but the few that wait for a minute to pass, and their like."""
    return [kind for kind in possible(product) if not kind.slow]


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _one(chance: random.Random, pids: Callable[[], list[int]], what: str) -> int:
    wait_until(lambda: bool(pids()), f"there is {what}")
    return chance.choice(sorted(pids()))


def _kill_horse(product: Product, chance: random.Random) -> None:
    time.sleep(chance.random())
    _kill([_one(chance, product.horses, "a work-horse")])


def _kill_all_horses(product: Product, chance: random.Random) -> None:
    time.sleep(chance.random())
    _kill(product.horses())


def _kill_part(name: str) -> Callable[[Product, random.Random], None]:
    def strike(product: Product, chance: random.Random) -> None:
        time.sleep(chance.random())
        _kill([_one(chance, lambda: product.parts(name), name)])

    return strike


def _kill_supervisor(product: Product, chance: random.Random) -> None:
    time.sleep(chance.random())
    product.up.kill()
    product.up.wait()
    product.start_up()


def _kill_producer(product: Product, chance: random.Random) -> None:
    time.sleep(chance.random())
    number = chance.randrange(PARTITIONS)
    product.kill_producer(number)
    product.start_producer(number)


def _kill_counting(product: Product, chance: random.Random) -> None:
    time.sleep(chance.random())
    product.kill_producer(COUNTING)
    product.start_producer(COUNTING)


def _kill_bus(product: Product, chance: random.Random) -> None:
    time.sleep(chance.random())
    product.bus.kill()
    time.sleep(chance.random())
    product.bus.start()


def _hang_bus(product: Product, chance: random.Random) -> None:
    os.kill(product.bus.pid, signal.SIGSTOP)
    time.sleep(3 + chance.random())
    os.kill(product.bus.pid, signal.SIGCONT)


def _flush(product: Product, chance: random.Random) -> None:
    time.sleep(chance.random())
    product.bus.client.flushall()


def _restore_old_bus(product: Product, chance: random.Random) -> None:
    """Put back what the append-only file held a few seconds ago: committed entries come back, new ones are gone."""
    bus = product.bus
    kept = bus.directory.with_name("bus.old")
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(bus.directory, kept)
    time.sleep(1.5 + chance.random())
    bus.kill()
    shutil.rmtree(bus.directory)
    kept.rename(bus.directory)
    bus.start()


def _set_clock_back(product: Product, chance: random.Random) -> None:
    """The bus restarts an hour or a day in the past: its entry ids no longer rise with what was read."""
    product.bus.kill()
    product.bus.start(clock=chance.choice(("-1h", "-1d")))


def _set_clock_right(product: Product, chance: random.Random) -> None:
    product.bus.kill()
    product.bus.start()


def _cut_replies(product: Product, chance: random.Random) -> None:
    proxy = product.bus.proxy
    before = proxy.cut_replies
    count = chance.randrange(3, 12)
    proxy.cut(count)
    wait_until(lambda: proxy.cut_replies >= before + count, "the replies were cut")


def _fail_at(point: str) -> Callable[[Product, random.Random], None]:
    def strike(product: Product, chance: random.Random) -> None:
        file = product.points / point
        file.touch()
        wait_until(lambda: not file.exists(), f"a process passes {point}")

    return strike


def _fail_at_maintenance(point: str) -> Callable[[Product, random.Random], None]:
    """Kill what packs and rolls up sealed segments, and deletes by age: the job is asked for until it dies there."""

    def strike(product: Product, chance: random.Random) -> None:
        file = product.points / point
        file.touch()
        wait_until(lambda: product.maintain() and not file.exists(), f"a process passes {point}")

    return strike


def _fail_at_alert(point: str) -> Callable[[Product, random.Random], None]:
    """Kill who evaluates rules or delivers notices. Series of another producer are soon beyond the first level.

    The clock is set right: behind by hours, the product takes what is counted now for what is still to come.
    """

    def strike(product: Product, chance: random.Random) -> None:
        product.set_clock(0)
        file = product.points / point
        file.touch()
        _kill_counting(product, chance)
        wait_until(lambda: not file.exists(), f"a process passes {point}", seconds=150)

    return strike


def _stop_outside(product: Product, chance: random.Random) -> None:
    """A holder stands still beyond its lease, anywhere in its loop; it wakes when another has taken over."""
    pid = _one(chance, product.horses, "a work-horse")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(LEASE_SECONDS + 2)
        os.kill(pid, signal.SIGCONT)


def _stop_inside(product: Product, chance: random.Random) -> None:
    """A holder stands still inside a transaction, with the file locked; it never wakes."""
    file = product.points / "drain.mid_transaction"
    file.write_text("stop")
    wait_until(lambda: not file.exists(), "a process stops inside a transaction")


def _fill(product: Product, directory: Path, seconds: float) -> None:
    """Have no space for so long."""
    product.fill(directory)
    try:
        time.sleep(seconds)
    finally:
        product.empty(directory)


def _fill_store(product: Product, chance: random.Random) -> None:
    _fill(product, product.data, 2 + 2 * chance.random())


def _fill_spool(product: Product, chance: random.Random) -> None:
    _fill(product, product.spool, 2 + 2 * chance.random())


def _fill_bus(product: Product, chance: random.Random) -> None:
    """maxmemory is reached while nobody drains; drains come back with the bus still full."""
    client = product.bus.client
    client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.01))
    _kill(product.horses())
    time.sleep(2 + 2 * chance.random())
    client.config_set("maxmemory", 2 << 30)


KINDS: tuple[Kind, ...] = (
    Kind("kill a work-horse", _kill_horse),
    Kind("kill all work-horses", _kill_all_horses),
    Kind("kill a drain worker", _kill_part("drain")),
    *(Kind(f"kill at {point}", _fail_at(point)) for point in FAILPOINTS),
    *(Kind(f"kill at {point}", _fail_at_maintenance(point)) for point in MAINTENANCE),
    *(Kind(f"kill at {point}", _fail_at_alert(point), slow=slow) for point, slow in ALERTS.items()),
    Kind("kill the ticker", _kill_part("ticker")),
    Kind("kill the API", _kill_part("api"), recovered=Product.wait_for_answers),
    Kind("kill the jobs worker", _kill_part("jobs")),
    Kind("kill the supervisor", _kill_supervisor),
    Kind("kill a producer", _kill_producer),
    Kind("kill the producer of metrics", _kill_counting),
    Kind("kill the bus", _kill_bus),
    Kind("hang the bus", _hang_bus),
    Kind("FLUSHALL", _flush),
    Kind("restore an old bus", _restore_old_bus),
    Kind("bus clock set back", _set_clock_back, needs_clock=True),
    Kind("bus clock set right", _set_clock_right),
    Kind("cut replies", _cut_replies),
    Kind("stop a holder past its lease", _stop_outside),
    Kind("stop a holder inside a transaction", _stop_inside),
    Kind("disk full for the store", _fill_store, needs_mount=True),
    Kind("disk full for the spool", _fill_spool, needs_mount=True),
    Kind("bus out of memory", _fill_bus),
    Kind("kill everything at once", hardships.kill_everything),
    Kind("kill the bus, its file and a producer", hardships.kill_bus_and_producer),
    Kind("tear the bus's file", hardships.tear_bus_file),
    Kind("entry ids run backwards", hardships.run_ids_backwards),
    Kind("a backup under load, restored", back_up),
    Kind("set the product's clock", hardships.set_clock),
    Kind("an event that kills the drain", hardships.emit_a_killer),
)
