"""Bytes of files and pipes, and how they are cut into lines."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.events.event import MAX_EVENT_BYTES
from monitoring.pipeline.events.lenient import MAX_RAW_BYTES
from monitoring.pipeline.ingest.lines import LineCutter, TooLong
from monitoring.pipeline.ingest.source import Broken, FileSource, PipeSource, Unreadable, open_source

TEXT = b"".join(b"line number %d with some text in it\n" % number for number in range(20_000))


def drain(source: FileSource | PipeSource, size: int = 100_000) -> bytes:
    found = b""
    while True:
        data = source.read(size)
        assert len(data) <= size
        if not data and source.at_end:
            return found
        found += data


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "gzip in two members": lambda data: gzip.compress(data[:1000]) + gzip.compress(data[1000:]),
    "zstd": lambda data: zstandard.compress(data),
    "zstd in two frames": lambda data: zstandard.compress(data[:1000]) + zstandard.compress(data[1000:]),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "utf-16": lambda data: data.decode().encode("utf-16"),
    "utf-16-be": lambda data: b"\xfe\xff" + data.decode().encode("utf-16-be"),
}


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_a_file_is_read_whatever_it_is_compressed_with_and_called(name: str, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(COMPRESSIONS[name](TEXT))
    source = FileSource(path)
    assert drain(source) == TEXT
    assert source.done_bytes == source.total_bytes == path.stat().st_size
    source.close()


@pytest.mark.parametrize("name", COMPRESSIONS)
@pytest.mark.parametrize("offset", [0, 1, 12_345, len(TEXT)])
def test_it_is_read_on_from_an_offset_of_what_it_holds(name: str, offset: int, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(COMPRESSIONS[name](TEXT))
    source = FileSource(path)
    source.seek(offset)
    assert drain(source) == TEXT[offset:]
    source.close()


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz"])
@pytest.mark.parametrize("damage", ["cut off", "overwritten"])
def test_what_stands_before_a_damaged_place_is_read(name: str, damage: str, tmp_path: Path) -> None:
    data = bytearray(COMPRESSIONS[name](TEXT * 3))
    if damage == "cut off":
        del data[len(data) * 3 // 4 :]
    else:
        data[len(data) * 3 // 4 : len(data) * 3 // 4 + 100] = b"\x55" * 100
    path = tmp_path / "app.log"
    path.write_bytes(data)
    source = FileSource(path)
    found = b""
    with pytest.raises(Broken, match=r"app\.log: .* data is damaged or ends early"):
        while True:
            block = source.read(50_000)
            assert block, "the damage went unnoticed"
            found += block
    assert len(found) > 100_000 and (TEXT * 3).startswith(found[:100_000])
    source.close()


def test_a_compressed_file_that_ends_before_the_place_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"short"))
    source = FileSource(path)
    with pytest.raises(Broken, match="ends before byte 100"):
        source.seek(100)
    source.close()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04rest", "is a zip archive, not a log; unpack it first"),
        (b"SQLite format 3\x00...", "is a database"),
        (b"LPKSHHRH....", "journalctl -o json | monitoring ingest -"),
        (bytes(range(256)) * 8, "holds binary data"),
        (b"\x7fELF\x02", "is a program"),
    ],
)
def test_what_is_no_log_is_refused_with_a_hint(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(Unreadable) as caught:
        FileSource(path)
    assert reason in str(caught.value) and str(path) in str(caught.value)


def test_a_directory_and_what_is_not_there_are_refused_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"is a directory; name its files: monitoring ingest .*/\*\.log"):
        FileSource(tmp_path)
    with pytest.raises(Unreadable, match="does not exist"):
        FileSource(tmp_path / "none")


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 5000 + b"text\n", b"\x1b[31mred\x1b[0m\n", "ünïcode\n".encode(), b"caf\xe9\n"]
)
def test_text_of_any_kind_is_read(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    source = FileSource(path)
    assert drain(source) == content
    source.close()


@pytest.mark.parametrize("name", ["plain", "gzip", "zstd", "utf-16"])
def test_a_pipe_is_read_whatever_comes_through_it(name: str) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(COMPRESSIONS[name](TEXT))

    thread = threading.Thread(target=write)
    thread.start()
    assert drain(PipeSource(reading)) == TEXT
    thread.join()
    os.close(reading)


def test_a_pipe_that_is_silent_does_not_hold_up_what_came_before() -> None:
    reading, writing = os.pipe()
    source = PipeSource(reading, wait_seconds=0.01)
    assert source.read(100) == b"" and not source.at_end
    os.write(writing, b"x\n")
    assert source.read(100) == b"x\n"
    assert source.read(100) == b"" and not source.at_end
    os.close(writing)
    assert source.read(100) == b"" and source.at_end and source.total_bytes is None
    os.close(reading)


def test_a_named_pipe_is_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    thread = threading.Thread(target=path.write_bytes, args=(b"hello\n",))
    thread.start()
    source = open_source(path)
    assert isinstance(source, PipeSource) and drain(source) == b"hello\n"
    thread.join()


# --- lines -----------------------------------------------------------------------------------------------


def cut(data: bytes, blocks: list[int]) -> list[bytes | TooLong]:
    """The lines of data that comes in blocks of these sizes, the last line included if it is not empty."""
    cutter = LineCutter()
    found: list[bytes | TooLong] = []
    position = 0
    for size in [*blocks, len(data)]:
        for run in cutter.push(data[position : position + size]):
            found += [run] if isinstance(run, TooLong) else run
        position += size
    last = cutter.last()
    return [*found, last] if last else found


@given(st.binary(max_size=60).map(lambda data: data.replace(b"x", b"\n")), st.lists(st.integers(0, 20), max_size=5))
def test_lines_are_the_same_in_whatever_blocks_they_come(data: bytes, blocks: list[int]) -> None:
    lines = data.split(b"\n")
    assert cut(data, blocks) == (lines if lines[-1] else lines[:-1])


@pytest.mark.parametrize("block", [1 << 16, 1 << 18, 3 << 20])
def test_of_a_line_that_is_too_long_the_start_is_kept_and_its_length(block: int) -> None:
    long, limit = b"a" * (2 * MAX_EVENT_BYTES + 5), b"b" * MAX_EVENT_BYTES
    data = b"first\n" + long + b"\n" + limit + b"\nlast\n" + long
    found = cut(data, [block] * (len(data) // block))
    assert found == [
        b"first",
        TooLong(b"a" * MAX_RAW_BYTES, len(long) + 1),
        limit,
        b"last",
        TooLong(b"a" * MAX_RAW_BYTES, len(long)),
    ]
