"""Adoption beside the ticker, on a real server and a real spool."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from monitoring.consumers import stop
from monitoring.consumers.adoption import Adoption, spool_directory
from monitoring.pipeline.bus.frame import encode_payload, seal
from monitoring.pipeline.bus.streams import Streams, connect, stream_key
from monitoring.pipeline.events.event import Rejected
from monitoring.pipeline.publish.spool import Spool
from monitoring.pipeline.settings import Settings, load


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"MONITORING_DATA_DIR": str(tmp_path)})


@pytest.fixture
def adopt(settings: Settings) -> Iterator[Callable[[str], list[str]]]:
    """Starts an adoption; its list of failures. It is stopped at the end."""
    threads: list[Adoption] = []

    def adopt(url: str) -> list[str]:
        failures: list[str] = []
        threads.append(Adoption(settings, url, failed=lambda: failures.append("failed")))
        threads[-1].start()
        return failures

    stop.reset()  # a test before this one may have left the request behind
    yield adopt
    stop.request()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    stop.reset()


def leave_orphan(settings: Settings) -> str:
    """A lane with a frame in the spool, whose producer has ended."""
    lane = uuid.uuid4().hex
    payload = encode_payload((), [Rejected("for the test", b"raw", "source", 1)])
    counters = {"emitted": 1, "dropped": {}}
    frame = seal(
        lane=lane, seq=1, released_below=1, signal="logs", count=1, created=1, counters=counters, payload=payload
    )
    journal = Spool(spool_directory(settings), max_bytes=1 << 20).create(lane, "logs")
    journal.append([frame])
    journal.close()
    return lane


def test_what_a_dead_producer_left_is_sent_under_its_own_lane(
    settings: Settings, valkey: str, adopt: Callable[[str], list[str]]
) -> None:
    client = connect(valkey)
    Streams(client).announce({"logs": 1}, "instance")
    lane = leave_orphan(settings)
    failures = adopt(valkey)
    wait_for(lambda: client.xlen(stream_key("logs", 0)) == 1)
    (entry,) = Streams(client).read({stream_key("logs", 0): "0-0"}, count=2, block_ms=None)[stream_key("logs", 0)]
    assert entry.fields[b"lane"] == lane.encode()
    assert failures == []


def test_it_waits_for_a_bus_that_is_not_there_yet(
    settings: Settings, valkey: str, adopt: Callable[[str], list[str]]
) -> None:
    leave_orphan(settings)
    failures = adopt(valkey)  # nobody has announced an instance there
    client = connect(valkey)
    wait_for(lambda: len(client.client_list()) >= 2)
    Streams(client).announce({"logs": 1}, "instance")
    wait_for(lambda: client.xlen(stream_key("logs", 0)) == 1)
    assert failures == []


def test_an_error_that_nobody_foresaw_is_reported(settings: Settings, adopt: Callable[[str], list[str]]) -> None:
    failures = adopt("no url at all")
    wait_for(lambda: failures == ["failed"])
