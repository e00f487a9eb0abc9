"""A backup that is taken while everything is written, and what it must hold when it is restored elsewhere."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

from tests.faults.counts import COUNTS, last_round, read_counts
from tests.faults.metric_checker import counted_by_producer
from tests.faults.product import Product, stored_in

__all__ = ["back_up"]


def back_up(product: Product, chance: random.Random) -> None:
    """Back up under load and restore it: what was committed before is in it, and nothing that was never counted.

    Raises RuntimeError where it is not so; `monitoring restore` verifies the rest.
    """
    journals = sorted(product.journals.glob(f"*{COUNTS}"))
    events, rounds = product.stored(), {path: last_round(path, "s") + 1 for path in journals}
    taken, restored = product.root / "backup", product.root / "restored"
    try:
        _run(product, product.data, "backup", str(taken))
        _run(product, restored, "restore", str(taken))
        if (found := stored_in(restored)) < events:
            raise RuntimeError(f"{events} events were stored before the backup, which has {found}")
        counted = counted_by_producer(restored)
        for path, number in rounds.items():
            _check(path, number, counted.get(path.name.removesuffix(COUNTS), {}))
    finally:
        shutil.rmtree(taken, ignore_errors=True)
        shutil.rmtree(restored, ignore_errors=True)


def _check(path: Path, committed: int, found: dict[str, int]) -> None:
    counts = read_counts(path)
    counts.acknowledged = committed
    if counts.matches(found) is None:
        raise RuntimeError(f"the backup has {found} of {path.name}, of which {committed} rounds were committed before")


def _run(product: Product, data: Path, *command: str) -> None:
    environment = product.environment() | {"MONITORING_DATA_DIR": str(data)}
    if data != product.data:
        environment["MONITORING_SPOOL_DIR"] = str(data / "spool")
    done = subprocess.run(
        [sys.executable, "-m", "monitoring", *command], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"monitoring {command[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")
