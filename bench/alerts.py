"""How long a thousand rules take one worker, and how soon people are told.

python -m bench.alerts [--rules 1000]                       the job, on a store of a million events
python -m bench.alerts --detection 30 [--interval 10]       from an event to the notification, of a running product

A store with a million events and the metrics of a hundred services; half the rules on logs, half on metrics, each with
a query of its own, a tenth of them beyond their thresholds. What is timed is the job itself, commits included.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from pathlib import Path

import orjson

from bench.detection import detection
from monitoring.consumers.alerts import Evaluating
from monitoring.pipeline import settings
from monitoring.pipeline.alerts.rule import Rule
from monitoring.pipeline.bus.streams import Streams
from monitoring.pipeline.events.delta import Delta, family_text
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.pipeline.store.lease import Holder
from monitoring.pipeline.store.metrics import open_metrics
from monitoring.pipeline.store.observing import Observing
from monitoring.pipeline.store.rules import Rules
from monitoring.pipeline.store.sqlite import open_store
from tests.deltas import frame
from tests.frames import Sender, entry, event

EVENTS, SERVICES = 1_000_000, 100
SECOND = 1_000_000_000


def fill(chosen: settings.Settings, now: int) -> None:
    """An hour of logs and metrics."""
    with contextlib.closing(open_store(chosen)) as store:
        writer = store.acquire(0, Holder.this_process())
        assert writer is not None
        sender = Sender(created=now)
        for first in range(0, EVENTS, 10_000):
            at = now - 3600 * SECOND + first * 3600 * SECOND // EVENTS
            events = [
                event(n, timestamp=at + n * 1000, service=f"s{n % SERVICES}", level=17 if n % 50 == 0 else 9)
                for n in range(10_000)
            ]
            writer.write(writer.admit([entry(sender.frame(events))]))
        writer.release()


def rules(count: int) -> list[Rule]:
    """Half on logs, half on metrics."""
    found = []
    for number in range(count):
        service = f"s{number % SERVICES}"
        if number % 2:
            found.append(
                Rule(f"logs {number}", "logs", query=f"level:error service:{service} event", channels=("ops",),
                     threshold=float(0 if number % 20 == 1 else 1e9), annotations={"summary": "{{ value }} errors"})
            )  # fmt: skip
        else:
            expr = f'sum by (host) (rate(work_total{{service="{service}"}}[5m])) + {number}'
            found.append(Rule(f"metric {number}", "metric", expr=expr, threshold=1e9, channels=("ops",)))
    return found


def _no_bus() -> Streams:
    raise AssertionError("nobody asks the bus: `complete` is set")


def main(count: int) -> None:
    """Print the seconds of the first turn, which tells its alerts, and of the next."""
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory)
        chosen = settings.load({"MONITORING_DATA_DIR": str(data), "MONITORING_DISK_RESERVE": "0"})
        Catalog.create_or_open(data / CATALOG_FILE, partitions=1).close()
        now = time.time_ns()
        fill(chosen, now)
        _metrics(chosen, now)
        with contextlib.closing(Control(data / FILE_NAME)) as control, contextlib.closing(open_store(chosen)) as store:
            table = Rules(control)
            for rule in rules(count):
                table.create(rule, "bench")
            clock = [time.time_ns()]
            for turn in ("first", "next"):
                sources = Observing(chosen, control, store=store, streams=_no_bus)
                sources.complete = lambda signal: clock[0] - 10 * SECOND  # type: ignore[method-assign]  # all is in
                job = Evaluating(chosen, control, sources, lambda: (), now_ns=lambda: clock[0])
                job.defaults = ()
                began, cpu = time.perf_counter(), time.process_time()
                done = 0
                while found := job.run()["evaluated"]:
                    done += found
                took = time.perf_counter() - began
                states = dict(control.rows("SELECT status, count(*) FROM rule GROUP BY status"))
                used = time.process_time() - cpu
                spent = {
                    "seconds": round(took, 2),
                    "cpu_seconds": round(used, 2),
                    "rules_per_second": round(done / took),
                    "cpu_ms_per_rule": round(1000 * used / done, 2),
                    "cpu_percent_of_a_minute": round(used / 0.6),
                }
                print(orjson.dumps({"turn": turn, "rules": done, **spent, "states": states}).decode())
                clock[0] += 60 * SECOND
                sources.close()


def _metrics(chosen: settings.Settings, now: int) -> None:
    """A counter of each service, for half an hour by windows of 10 s."""
    family = family_text(name="work", kind="counter")
    with contextlib.closing(open_metrics(chosen)) as store:
        writer = store.acquire(0, Holder.this_process())
        assert writer is not None
        sender = Sender(created=now)
        for window in range(180, 0, -1):
            at = (now // (10 * SECOND) - window) * 10 * SECOND
            rows = [
                Delta(at, 10 * SECOND, f"s{n}", "", "", f"h{n % 10}", family, "{}", str(n)) for n in range(SERVICES)
            ]
            writer.write(writer.admit([entry(frame(sender, rows))]))
        writer.release()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", type=int, default=1000)
    parser.add_argument("--detection", type=int, metavar="REPEATS")
    parser.add_argument("--interval", type=int, default=10, help="of the rule, in seconds")
    options = parser.parse_args()
    if options.detection:
        print(orjson.dumps(detection(options.detection, options.interval)).decode())
    else:
        main(options.rules)
