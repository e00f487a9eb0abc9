"""Faults that hit several parts at once, or the clock, and an event that kills whoever stores it."""

from __future__ import annotations

import os
import random
import time

from tests.faults import workload
from tests.faults.bus import PARTITIONS, streams, wait_until
from tests.faults.product import Product

__all__ = [
    "emit_a_killer", "kill_bus_and_producer", "kill_everything", "run_ids_backwards", "set_clock", "tear_bus_file",
]  # fmt: skip

_HOUR_SECONDS = 3600.0


def kill_everything(product: Product, chance: random.Random) -> None:
    """All processes die at the same moment, producers and bus included; then all is started again."""
    time.sleep(chance.random())
    product.kill_everything()
    product.bus.start()
    product.start_up()
    product.start_producers()


def kill_bus_and_producer(product: Product, chance: random.Random) -> None:
    """What was on the bus and in memory is gone: only the spool has it."""
    number = chance.randrange(PARTITIONS)
    time.sleep(chance.random())
    product.bus.kill()
    product.kill_producer(number)
    product.bus.forget()
    product.bus.start()
    product.start_producer(number)


def tear_bus_file(product: Product, chance: random.Random) -> None:
    """The end of the append-only file never reached the disk: acknowledged entries are gone, deleted ones are back."""
    time.sleep(chance.random())
    product.bus.kill()
    newest = max(product.bus.directory.glob("appendonlydir/*.incr.aof"), key=lambda file: file.stat().st_mtime)
    os.truncate(newest, max(0, newest.stat().st_size - chance.randrange(1 << 18)))
    product.bus.start()


def run_ids_backwards(product: Product, chance: random.Random) -> None:
    """The server's clock was ahead and is set right as it loses everything: new ids are below those already seen."""
    client = product.bus.client
    ahead = int((time.time() + chance.uniform(60, 86_400)) * 1000)
    for stream in streams():
        pipe = client.pipeline(transaction=True)
        pipe.xadd(stream, {"nobody": "sees"}, id=f"{ahead}-0")
        pipe.xdel(stream, f"{ahead}-0")
        pipe.execute()
    time.sleep(1 + chance.random())
    client.flushall()


def set_clock(product: Product, chance: random.Random) -> None:
    """The machine's clock jumps back, ahead, or to the true time, for all processes of the product.

    By less than 24 hours at a time: so long does an Idempotency-Key hold, and a jump ahead is time that passes.
    """
    product.set_clock(chance.choice((-11, -1, -0.01, 0, 1, 11)) * _HOUR_SECONDS)


def emit_a_killer(product: Product, chance: random.Random) -> None:
    """An event that kills every process that tries to store it: it alone must end as a dead letter."""
    file = product.points / "poison"
    before = product.letters("poison")
    file.write_text(workload.POISON)
    product.poison_producer(chance.randrange(PARTITIONS))
    wait_until(lambda: product.letters("poison") > before, "the event that kills is dead-lettered", seconds=180)
    file.unlink()
