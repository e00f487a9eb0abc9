"""The embedded server, a real one each time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import redis

from monitoring.pipeline.bus.embedded import URL_FILE, EmbeddedBus, locate
from monitoring.pipeline.bus.streams import connect
from monitoring.pipeline.errors import BusUnavailable
from monitoring.pipeline.settings import load

MakeBus = Callable[..., EmbeddedBus]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def make(tmp_path: Path, said: list[str]) -> Iterator[MakeBus]:
    """A maker of servers, all ended at the end."""
    buses: list[EmbeddedBus] = []

    def make(data: Path = tmp_path, memory_bytes: int = 64 << 20) -> EmbeddedBus:
        data.mkdir(parents=True, exist_ok=True)
        buses.append(EmbeddedBus(data, memory_bytes=memory_bytes, say=said.append))
        return buses[-1]

    yield make
    for bus in buses:
        bus.stop(timeout_seconds=5)


def kill(bus: EmbeddedBus) -> None:
    assert bus.pid is not None
    os.kill(bus.pid, signal.SIGKILL)
    while bus.exit_status() is None:
        time.sleep(0.005)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_answers_when_start_returns_and_keeps_what_it_is_told_to(make: MakeBus) -> None:
    client = connect(make().start())
    settings = client.config_get("*")
    assert settings["appendonly"] == "yes"
    assert settings["appendfsync"] == "everysec"
    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["maxmemory"] == str(64 << 20)


def test_only_the_owner_can_reach_it(make: MakeBus, tmp_path: Path) -> None:
    bus = make()
    url = bus.start()
    assert (tmp_path / URL_FILE).read_text() == url + "\n"
    assert (tmp_path / URL_FILE).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "bus").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "bus" / "socket").stat().st_mode & 0o777 == 0o600
    with pytest.raises(redis.AuthenticationError):
        connect(f"unix://{tmp_path}/bus/socket").ping()


def test_its_password_is_in_no_process_list(make: MakeBus) -> None:
    bus = make()
    password = urlsplit(bus.start()).password
    assert password
    process = psutil.Process(bus.pid)
    assert password not in " ".join(process.cmdline())
    assert password not in "".join(process.environ().values())


def test_data_address_and_password_survive_a_clean_restart(make: MakeBus) -> None:
    first = make()
    url = first.start()
    connect(url).set("key", "value")
    assert first.stop(timeout_seconds=5)
    assert make().start() == url
    assert connect(url).get("key") == b"value"


def test_what_was_written_survives_its_being_killed(make: MakeBus) -> None:
    bus = make()
    client = connect(bus.start())
    for number in range(100):
        client.xadd("stream", {"number": number})
    kill(bus)
    client = connect(bus.start())
    assert client.xlen("stream") == 100


def test_a_path_too_long_for_a_socket_means_loopback_with_a_password(make: MakeBus, tmp_path: Path) -> None:
    data = tmp_path / ("long" * 25)
    bus = make(data)
    url = urlsplit(bus.start())
    assert (url.scheme, url.hostname) == ("redis", "127.0.0.1")
    assert url.password
    assert url.port
    with pytest.raises(redis.AuthenticationError):
        connect(f"redis://127.0.0.1:{url.port}").ping()
    bus.stop(timeout_seconds=5)
    assert make(data).start() == url.geturl()


def test_spaces_and_quotes_in_its_path_are_no_trouble(make: MakeBus, tmp_path: Path) -> None:
    url = make(tmp_path / 'a "b" \\c% d').start()
    assert connect(url).ping()


def test_it_refuses_writes_when_full_and_forgets_nothing(make: MakeBus) -> None:
    client = connect(make(memory_bytes=16 << 20).start())
    written = 0
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        while True:
            client.xadd("stream", {"payload": bytes(1 << 20)})
            written += 1
    assert client.xlen("stream") == written > 0


def test_a_server_that_an_earlier_run_left_is_ended_first(make: MakeBus, said: list[str]) -> None:
    left = make()
    url = left.start()
    connect(url).set("key", "value")
    assert make().start() == url
    assert left.exit_status() is not None
    assert connect(url).get("key") == b"value"
    assert any(str(left.pid) in line for line in said)


def test_even_a_stopped_one_is_ended(make: MakeBus) -> None:
    left = make()
    left.start()
    assert left.pid
    os.kill(left.pid, signal.SIGSTOP)
    connect(make().start()).ping()
    assert left.exit_status() is not None


def test_a_file_it_cannot_read_is_moved_aside_and_said_so(make: MakeBus, tmp_path: Path, said: list[str]) -> None:
    bus = make()
    connect(bus.start()).set("key", "value")
    bus.stop(timeout_seconds=5)
    for file in (tmp_path / "bus" / "appendonlydir").glob("*.incr.aof"):
        file.write_bytes(b"no such thing as an append-only file\r\n" * 100)
    client = connect(make().start())
    assert client.dbsize() == 0
    assert any("appendonlydir.unreadable" in line for line in said)
    assert (tmp_path / "bus" / "appendonlydir.unreadable").is_dir()


def test_a_file_on_which_it_crashes_every_time_is_moved_aside_and_said_so(
    make: MakeBus, tmp_path: Path, said: list[str]
) -> None:
    bus = make()
    connect(bus.start()).set("key", "value")
    bus.stop(timeout_seconds=5)
    (file,) = (tmp_path / "bus" / "appendonlydir").glob("*.incr.aof")
    with file.open("ab") as handle:
        handle.write(b"*2\r\n$5\r\nDEBUG\r\n$8\r\nSEGFAULT\r\n")
    client = connect(make().start())
    assert client.dbsize() == 0
    assert any("crashed" in line and "appendonlydir.unreadable" in line for line in said)


def test_frames_of_the_usual_size_do_not_crash_it(make: MakeBus, tmp_path: Path, said: list[str]) -> None:
    """With memory mappings for frames, these sizes make it meet memory that it has freed (valkey issue 4705)."""
    bus = make()
    client = connect(bus.start())
    sizes = (241_519, 238_891, 239_621, 240_753, 241_148, 240_985, 241_224, 240_818, 241_249, 241_389, 241_208, 241_154)
    for seq, size in enumerate(sizes, 1):
        fields = {
            "v": 1, "lane": "a" * 32, "seq": seq, "released_below": 1, "signal": "logs", "count": 1000,
            "created": 1_795_545_634_128_948_328, "counters": f'{{"dropped":{{}},"emitted":{seq * 1000}}}',
            "encoding": "json", "digest": "d" * 32, "payload": b"x" * size,
        }  # fmt: skip
        client.xadd("stream", fields, id=f"1795545634{200 + seq}-0")  # type: ignore[arg-type]  # ints, as redis takes them
    bus.stop(timeout_seconds=5)
    client = connect(make().start())
    entries: Any = client.xrange("stream")
    assert [len(fields[b"payload"]) for _, fields in entries] == list(sizes)
    assert not said


def test_a_torn_end_of_its_file_costs_the_torn_command_only(make: MakeBus, tmp_path: Path) -> None:
    bus = make()
    client = connect(bus.start())
    client.set("first", "kept")
    client.set("second", "torn")
    bus.stop(timeout_seconds=5)
    (file,) = (tmp_path / "bus" / "appendonlydir").glob("*.incr.aof")
    os.truncate(file, file.stat().st_size - 3)
    assert connect(make().start()).keys() == [b"first"]


def test_it_ends_with_the_process_that_started_it_even_if_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from monitoring.pipeline.bus.embedded import EmbeddedBus;"
        "bus = EmbeddedBus(Path(sys.argv[1]), memory_bytes=64 << 20, say=print); bus.start();"
        "print(bus.pid, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    server = psutil.Process(int(owner.stdout.readline()))
    owner.kill()
    owner.wait()
    owner.stdout.close()
    wait_for(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)


def test_its_log_is_bounded(make: MakeBus, tmp_path: Path) -> None:
    bus = make()
    bus.start()
    log = tmp_path / "bus" / "valkey.log"
    with log.open("ab") as file:
        file.write(b"x" * (2 << 20))
    bus.rotate_log()
    bus.stop(timeout_seconds=5)
    assert log.stat().st_size < 1 << 20
    assert sorted(path.name for path in log.parent.glob("valkey.log*")) == ["valkey.log", "valkey.log.1"]


def test_a_server_that_cannot_start_says_why(make: MakeBus) -> None:
    with pytest.raises(BusUnavailable, match=r"(?i)maxmemory|argument"):
        make(memory_bytes=-5).start()


def test_a_client_finds_the_bus_by_setting_then_by_file_then_is_told_what_to_do(tmp_path: Path) -> None:
    environ = {"MONITORING_DATA_DIR": str(tmp_path)}
    with pytest.raises(BusUnavailable, match="monitoring up"):
        locate(load(environ))
    (tmp_path / URL_FILE).write_text("unix://:secret@/somewhere\n")
    assert locate(load(environ)) == "unix://:secret@/somewhere"
    assert locate(load({**environ, "REDIS_URL": "redis://cache"})) == "redis://cache"
    assert locate(load({**environ, "REDIS_URL": "redis://c", "MONITORING_BUS_URL": "redis://b"})) == "redis://b"
