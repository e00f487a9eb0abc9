"""Snappy's block format, which Loki push and Prometheus remote write put around their protobuf."""

from __future__ import annotations

from monitoring.api.problems import Problem

__all__ = ["unsnapped"]

_MAX_GROWTH = 64
"""A copy of 3 bytes stands for 64: a block that claims more than 22 times its size lies; this leaves it room."""


def unsnapped(body: bytes, limit: int) -> bytes:
    """The decompressed block. Raises Problem: 413 beyond `limit` bytes, 400 for what is no block."""
    import cramjam  # 5 ms that other requests need not pay

    try:
        size = cramjam.snappy.decompress_raw_len(body)
        if size > limit:
            raise Problem(
                413,
                f"the body is larger than {limit} bytes, compressed or not",
                field="body",
                fix="split it; the operator may raise MONITORING_MAX_BODY",
            )
        if size > len(body) * _MAX_GROWTH:
            raise _unreadable()
        return bytes(cramjam.snappy.decompress_raw(body)) if size else b""
    except cramjam.DecompressionError as error:
        raise _unreadable() from error


def _unreadable() -> Problem:
    return Problem(
        400, "the body is not a whole block of snappy", field="body", fix="compress it with snappy, as one block"
    )
