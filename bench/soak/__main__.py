"""`make soak HOURS=1`: the product under mixed load, and whether anything grows.

python -m bench.soak --hours 1              the rate may be changed: --rate 500 (events a second)
python -m bench.soak --hours 0.05           to see that it works; slopes of minutes say nothing

Load: a service with the SDK (logs, a counter, a histogram), batches over HTTP, a dashboard's questions one after the
other, the default rules, the collectors. Segments are small, so that they are sealed and roll over every few
minutes, and retention deletes them by size. Every ten seconds memory (PSS), descriptors, WAL files and times are
noted. Afterwards: the books must balance, `monitoring verify` find nothing, and no figure grow beyond its bound.
Exit code 1 otherwise. bench/results-soak.json keeps every sample.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from os import environ
from pathlib import Path

import click

from bench.api import BATCH, Client, batches
from bench.machine import describe
from bench.product import Product, running
from bench.soak.readers import Reader
from bench.soak.verdict import findings
from bench.soak.watch import Sample, look
from monitoring.cli.plot import Line, plot

__all__ = ["main"]

SAMPLE_SECONDS = 10.0
_SETTINGS = {
    "MONITORING_SEGMENT_EVENTS": "100000",
    "MONITORING_RETENTION_BYTES": "150M",
    "MONITORING_RATE_KEY": "0",
    "MONITORING_RATE_ADDRESS": "0",
}


def main() -> None:
    """Run it, draw it, judge it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--rate", type=int, default=1000, help="events a second, half by the SDK, half over HTTP")
    parser.add_argument("--out", type=Path, default=Path("bench/results-soak.json"))
    chosen = parser.parse_args()
    with running(**_SETTINGS) as product:
        with _service(product, chosen.rate // 2), _posting(product, chosen.rate // 2) as refused:
            reader = Reader(product)
            samples = list(_watched(product, reader, chosen.hours * 3600))
            reader.stop()
        troubles = [*refused, *reader.failures, *_troubles(product)]
    figures = findings(samples)
    chosen.out.write_text(json.dumps({"machine": describe(), "samples": samples, "findings": figures}, indent=1) + "\n")
    _draw(samples)
    for figure in figures:
        mark = "ok " if figure.good else "BAD"
        _say(f"{mark}  {figure.what:32} {figure.value:10.2f} {figure.unit:5} (at most {figure.bound:g})")
    for trouble in troubles[:20]:
        _say(f"BAD  {trouble}")
    sys.exit(1 if troubles or not all(figure.good for figure in figures) else 0)


@contextlib.contextmanager
def _service(product: Product, rate: int) -> Iterator[None]:
    """A service beside the product that ends by itself when its standard input does."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.soak.service", str(rate)],
        env={**environ, "MONITORING_BUS_URL": product.bus_url, "LOG_LEVEL": "INFO"},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _posting(product: Product, rate: int) -> Iterator[list[str]]:
    """Batches over HTTP at this rate, again and again, until the block ends; what was refused."""
    stopping = threading.Event()
    bodies = batches(20 * BATCH)

    refused: list[str] = []

    def post() -> None:
        client, number = Client(product), 0
        while not stopping.wait(BATCH / max(1, rate)):
            status, answer = client.send("POST", "/api/v1/logs", bodies[number % len(bodies)])
            number += 1
            if status != 202:
                refused.append(f"a batch over HTTP: {status} {answer[:200]!r}")
        client.close()

    thread = threading.Thread(target=post, daemon=True)
    thread.start()
    try:
        yield refused
    finally:
        stopping.set()
        thread.join()


def _watched(product: Product, reader: Reader, seconds: float) -> Iterator[Sample]:
    """A sample every ten seconds, with a line of progress a minute."""
    began = time.monotonic()
    due = began
    while (passed := time.monotonic() - began) < seconds:
        due += SAMPLE_SECONDS
        time.sleep(max(0.0, due - time.monotonic()))
        answers, arrivals = reader.take()
        sample = look(product.process.pid, product.data, _median(answers), _median(arrivals))
        yield sample
        if int(passed) // 60 != int(passed - SAMPLE_SECONDS) // 60:
            _say(
                f"{passed / 60:6.0f} of {seconds / 60:.0f} min: {sum(sample.memory.values()) / 1e6:.0f} MB, "
                f"{sample.disk / 1e6:.0f} MB on disk, answers {sample.answer * 1000:.0f} ms, "
                f"found after {sample.arrival * 1000:.0f} ms"
            )


def _median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else 0.0


def _troubles(product: Product) -> Iterator[str]:
    """What the product itself says at the end: unbalanced books, drops, dead letters, damaged files."""
    for command in ("status", "verify"):
        done = subprocess.run(
            [sys.executable, "-m", "monitoring", command, "--json"],
            env={**environ, "MONITORING_DATA_DIR": str(product.data)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            yield f"monitoring {command}: exit code {done.returncode}: {done.stdout[-400:]}{done.stderr[-400:]}"
        elif command == "status":
            books = json.loads(done.stdout)
            for name in ("residual", "dropped", "dead_lettered", "missing", "unaccounted"):
                for signal in ("totals", "metrics"):
                    if books[signal][name]:
                        yield f"monitoring status: {name} of the {signal} is {books[signal][name]}"


def _draw(samples: Sequence[Sample]) -> None:
    """Memory by part, and times, as charts of this terminal's width."""
    width = shutil.get_terminal_size().columns
    start, end = samples[0].time, samples[-1].time
    parts = sorted({name for sample in samples for name in sample.memory})
    memory = [Line(part, [(s.time, s.memory.get(part, 0) / 1e6) for s in samples]) for part in parts]
    times = [
        Line("answers", [(s.time, s.answer * 1000) for s in samples]),
        Line("found after", [(s.time, s.arrival * 1000) for s in samples]),
    ]
    for title, lines in (("memory by part, MB", memory), ("milliseconds", times)):
        _say(f"{title}: {', '.join(line.label for line in lines)}")
        for row in plot(lines, start, end, width=width, height=12):
            _say(row)


def _say(text: str) -> None:
    click.echo(text)  # without colours where it is no terminal


if __name__ == "__main__":
    main()
