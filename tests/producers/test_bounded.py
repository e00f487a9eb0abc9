"""A collector that hangs holds up nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from monitoring.pipeline.publish import own_threads
from monitoring.producers.bounded import Bounded
from monitoring.producers.collector import Collector, ReadingFailed
from monitoring.producers.registry import Registry
from tests.producers.shown import shown


class Source(Collector):
    """Does what a test says, and shows how often it came to an end."""

    def __init__(self, registry: Registry, work: Callable[[], None]) -> None:
        super().__init__(registry)
        self.work = work
        self.samples = 0
        self.levels = self._levels("samples", "Samples taken")

    def collect(self) -> None:
        self.work()
        self.samples += 1
        self.levels.update({(): float(self.samples)})


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What a collector hangs at; opened when the test ends."""
    made = threading.Event()
    yield made
    made.set()


def test_a_collector_that_returns_is_one_like_any_other() -> None:
    registry = Registry()
    bounded = Bounded(Source(registry, lambda: None))
    bounded.collect()
    bounded.collect()
    assert shown(registry)["samples"] == {(): 2}
    bounded.clear()
    assert "samples" not in shown(registry)


def test_what_it_raises_is_raised_and_forgotten() -> None:
    def broken() -> None:
        raise OSError("gone")

    source = Source(Registry(), broken)
    bounded = Bounded(source)
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            bounded.collect()
    source.work = lambda: None
    bounded.collect()


def test_one_that_hangs_is_left_alone_and_called_again_when_it_has_come_back(gate: threading.Event) -> None:
    calls = []

    def hang() -> None:
        calls.append(threading.current_thread())
        gate.wait()

    registry = Registry()
    bounded = Bounded(Source(registry, hang), patience_seconds=0.01)
    with pytest.raises(ReadingFailed, match=r"not come back within 0\.01 s"):
        bounded.collect()
    for _ in range(3):
        with pytest.raises(ReadingFailed, match="hangs for"):
            bounded.collect()
    assert len(calls) == 1
    assert calls[0].daemon, "it must not keep the program from ending"
    bounded.clear()
    gate.set()
    calls[0].join()
    assert shown(registry)["samples"] == {(): 1}
    bounded.collect()
    assert len(calls) == 2


def test_what_is_logged_while_it_collects_is_known_to_be_ours() -> None:
    seen = []
    Bounded(Source(Registry(), lambda: seen.append(threading.get_ident() in own_threads.idents))).collect()
    assert seen == [True]
