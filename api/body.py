"""Reading a request's body within bounds, whatever its headers claim.

Every stage of decoding is bounded by the same size, and is fed so little at a time that one step can expand
to 16 MiB at most: a bomb costs what the limit allows and no more, however deep it is nested.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import IO, Protocol

import zstandard

from monitoring.api.problems import Problem

__all__ = ["CODINGS", "read_body"]

CODINGS = ("identity", "gzip", "deflate", "zstd")
_CHUNK = 1 << 16
_ZLIB_STEP = 1 << 12
"""DEFLATE expands 1,032-fold at most: 4 MiB a step."""
_ZSTD_STEP = 1 << 9
"""A zstd block of 4 bytes can stand for 128 KiB: 16 MiB a step."""
_ZSTD_WINDOW = 8 << 20
"""RFC 9659: a zstd content coding must not need a larger window."""
_MAX_CODINGS = 3
_MAX_MEMBERS = 10_000
"""Compressed members (gzip) or frames (zstd) in a body. A member a 3 KiB of text is more than any tool writes."""


class _Decoder(Protocol):
    """The part of zlib's and zstandard's decompression objects that is used."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def read_body(stream: IO[bytes], *, content_encoding: str, content_length: int | None, limit: int) -> bytearray:
    """The decoded body.

    `content_length` is what the client announced, None for a chunked body.
    Raises Problem: 413 beyond `limit` bytes at any stage, 415 for an unknown coding, 400 where it is torn.
    """
    if content_length is not None and content_length > limit:
        raise _too_large(limit)
    chunks = _bounded(_whole(_chunks(stream), content_length), limit)
    for coding in reversed(_codings(content_encoding)):
        chunks = _bounded(_decoded(chunks, coding), limit)
    body = bytearray()
    for chunk in chunks:
        body += chunk
    return body


def _codings(header: str) -> list[str]:
    names = [name.strip().lower().removeprefix("x-") for name in header.split(",") if name.strip()]
    for name in names:
        if name not in CODINGS:
            raise Problem(
                415, f"{name[:40]!r} is not supported", field="Content-Encoding", fix=f"one of {', '.join(CODINGS)}"
            )
    names = [name for name in names if name != "identity"]
    if len(names) > _MAX_CODINGS:
        raise Problem(415, f"more than {_MAX_CODINGS} codings", field="Content-Encoding", fix="compress once")
    return names


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := _read(stream):
        yield chunk


def _read(stream: IO[bytes]) -> bytes:
    try:
        return stream.read(_CHUNK)
    except Exception as error:  # each server has its own for chunks that are malformed or cut off
        raise Problem(400, "the body could not be read to its end", field="body", fix="send all of it") from error


def _whole(chunks: Iterator[bytes], announced: int | None) -> Iterator[bytes]:
    """The chunks of a body that does not end before its announced length, as it does when the client dies."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        yield chunk
    if announced is not None and size < announced:
        raise Problem(400, f"the body ended after {size} of {announced} bytes", field="body", fix="send all of it")


def _bounded(chunks: Iterator[bytes], limit: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        yield chunk


def _decoded(chunks: Iterator[bytes], coding: str) -> Iterator[bytes]:
    if coding == "gzip":
        return _inflate(chunks, coding, lambda _: zlib.decompressobj(31), _ZLIB_STEP)
    if coding == "deflate":
        return _inflate(chunks, coding, _deflate, _ZLIB_STEP)
    zstd = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    return _inflate(chunks, coding, lambda _: zstd.decompressobj(write_size=1 << 15), _ZSTD_STEP)


def _deflate(head: bytes) -> _Decoder:
    """RFC 9110 means zlib's format; some clients send raw DEFLATE, as their servers always let them."""
    wrapped = head[0] & 0x0F == 8 and (len(head) < 2 or (head[0] << 8 | head[1]) % 31 == 0)
    return zlib.decompressobj(15 if wrapped else -15)


def _inflate(chunks: Iterator[bytes], coding: str, fresh: Callable[[bytes], _Decoder], step: int) -> Iterator[bytes]:
    """Decode members one after the other; what begins must end."""
    decoder: _Decoder | None = None
    members = 0
    for piece in (chunk[start : start + step] for chunk in chunks for start in range(0, len(chunk), step)):
        while piece:
            if decoder is None:
                members += 1
                if members > _MAX_MEMBERS:
                    raise Problem(
                        413, f"more than {_MAX_MEMBERS} compressed members", field="body", fix="compress once"
                    )
                decoder = fresh(piece)
            try:
                decoded = decoder.decompress(piece)
            except (zlib.error, zstandard.ZstdError) as error:
                raise _unreadable(coding) from error
            if decoded:
                yield decoded
            piece = b""
            if decoder.eof:
                piece = decoder.unused_data
                decoder = None
    if decoder is not None:
        raise _unreadable(coding)


def _unreadable(coding: str) -> Problem:
    return Problem(
        400, f"the body is not whole or not {coding}", field="body", fix=f"send all of it, compressed with {coding}"
    )


def _too_large(limit: int) -> Problem:
    return Problem(
        413,
        f"the body is larger than {limit} bytes, compressed or not",
        field="body",
        fix="split it; the operator may raise MONITORING_MAX_BODY",
    )
