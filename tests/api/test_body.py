"""Reading bodies within bounds."""

from __future__ import annotations

import gzip
import io
import itertools
import subprocess
import sys
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from monitoring.api.body import read_body
from monitoring.api.problems import Problem

LIMIT = 1 << 20


def as_it_is(data: bytes) -> bytes:
    return data


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd,
}


def read(data: bytes, coding: str = "", limit: int = LIMIT) -> bytes:
    return bytes(read_body(io.BytesIO(data), content_encoding=coding, content_length=len(data), limit=limit))


def status(data: bytes, coding: str = "", limit: int = LIMIT) -> int:
    with pytest.raises(Problem) as caught:
        read(data, coding, limit)
    return caught.value.status


@given(data=st.binary(max_size=5000), codings=st.lists(st.sampled_from([*CODERS, "identity"]), max_size=3))
def test_what_was_encoded_is_decoded_in_any_order_of_codings(data: bytes, codings: list[str]) -> None:
    body = data
    for coding in codings:
        body = CODERS.get(coding, as_it_is)(body)
    assert read(body, ", ".join(codings).upper()) == data


def test_deflate_without_its_header_is_understood_too() -> None:
    assert read(raw_deflate(b"hello " * 999), "deflate") == b"hello " * 999


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_several_members_are_one_body(coding: str) -> None:
    assert read(CODERS[coding](b"one") + CODERS[coding](b"") + CODERS[coding](b"two"), coding) == b"onetwo"


@pytest.mark.parametrize("coding", CODERS)
def test_a_body_cut_off_anywhere_or_followed_by_other_bytes_is_refused(coding: str) -> None:
    whole = CODERS[coding](b"some text that is long enough " * 20)
    for end in range(1, len(whole)):
        assert status(whole[:end], coding) == 400
    if coding != "deflate":
        assert status(whole + b"junk", coding) == 400


@given(data=st.binary(max_size=2000), coding=st.sampled_from([*CODERS, "zstd, gzip"]))
def test_no_bytes_make_it_fail_otherwise_than_with_a_problem(data: bytes, coding: str) -> None:
    try:
        read(data, coding)
    except Problem as problem:
        assert problem.status in (400, 413)


def test_an_unknown_coding_is_named() -> None:
    with pytest.raises(Problem) as caught:
        read(b"x", "gzip, br")
    assert caught.value.status == 415
    assert "'br'" in caught.value.detail
    assert status(b"x", "gzip, gzip, gzip, gzip") == 415


@pytest.mark.parametrize("coding", ["", *CODERS])
def test_a_body_of_the_limit_is_read_and_one_byte_more_is_not(coding: str) -> None:
    encode = CODERS.get(coding, as_it_is)
    assert len(read(encode(bytes(LIMIT)), coding)) == LIMIT
    assert status(encode(bytes(LIMIT + 1)), coding) == 413


def test_a_length_beyond_the_limit_is_refused_before_a_byte_is_read() -> None:
    stream = io.BytesIO(bytes(100))
    with pytest.raises(Problem) as caught:
        read_body(stream, content_encoding="", content_length=LIMIT + 1, limit=LIMIT)
    assert caught.value.status == 413
    assert stream.tell() == 0


def test_a_body_that_ends_before_its_announced_length_is_refused() -> None:
    with pytest.raises(Problem) as caught:
        read_body(io.BytesIO(bytes(99)), content_encoding="", content_length=100, limit=LIMIT)
    assert caught.value.status == 400


def test_members_without_end_are_refused() -> None:
    assert status(gzip.compress(b"") * 20_000, "gzip") == 413
    assert status(zstd(b"") * 20_000, "zstd") == 413


BOMBS = """
import gzip, io, resource, struct, sys, zlib
import zstandard
from monitoring.api.body import read_body
from monitoring.api.problems import Problem

LIMIT = 4 << 20
def pack(make, size):
    packer, parts = make(), []
    for _ in range(size >> 20):  # nothing large is held, so that the memory seen below is the reader's
        parts.append(packer.compress(bytes(1 << 20)))
    return b"".join(parts) + packer.flush()

def repeated(packer, flush, size):  # the same blocks again and again: only a checksum far behind the limit is wrong
    first, more = (packer.compress(bytes(1 << 20)) + packer.flush(flush) for _ in range(2))
    return first + more * ((size >> 20) - 1) + packer.flush()

gzipped = repeated(zlib.compressobj(9, zlib.DEFLATED, 31), zlib.Z_FULL_FLUSH, 512 << 20)
zstded = repeated(
    zstandard.ZstdCompressor(level=1).compressobj(), zstandard.COMPRESSOBJ_FLUSH_BLOCK, 4 << 30
)
sized = pack(lambda: zstandard.ZstdCompressor().compressobj(size=64 << 20), 64 << 20)
wrapped = pack(lambda: zlib.compressobj(9, zlib.DEFLATED, 15), 64 << 20)
bombs = [
    (gzipped, "gzip"), (gzipped[:-4] + struct.pack("<I", 5), "gzip"), (zstded, "zstd"), (sized, "zstd"),
    (gzip.compress(gzipped), "gzip, gzip"), (gzip.compress(zstded), "zstd, gzip"),
    (zlib.compress(gzip.compress(zstded)), "zstd, gzip, deflate"), (wrapped, "deflate"),
]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for round in range(25):
    for data, coding in bombs:
        try:
            read_body(io.BytesIO(data), content_encoding=coding, content_length=None, limit=LIMIT)
            sys.exit(f"{coding} went through")
        except Problem as problem:
            if problem.status != 413:
                sys.exit(f"{coding}: {problem.status} {problem.detail}")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_two_hundred_bombs_are_refused_with_little_memory() -> None:
    done = subprocess.run([sys.executable, "-c", BOMBS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 64 << 10, "memory grew by 64 MiB or more"


def test_the_limit_holds_for_a_stream_that_never_ends() -> None:
    class Endless(io.RawIOBase):
        def __init__(self) -> None:
            self.given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return bytes(size)

    stream = Endless()
    with pytest.raises(Problem) as caught:
        read_body(stream, content_encoding="", content_length=None, limit=LIMIT)  # type: ignore[arg-type]  # only read is used
    assert caught.value.status == 413
    assert stream.given <= LIMIT + (1 << 16)


def test_every_pair_of_codings_is_bounded_at_each_stage() -> None:
    for inner, outer in itertools.product(("gzip", "zstd", "deflate"), repeat=2):
        assert status(CODERS[outer](CODERS[inner](bytes(LIMIT + 1))), f"{inner}, {outer}") == 413
