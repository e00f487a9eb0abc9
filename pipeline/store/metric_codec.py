"""Points of a series as bytes: columns of numbers, each in the fewest bytes that hold it exactly, then compressed.

    +-------+------------------------------------------------------------+
    | u8: 1 | zstd of                                                    |
    +-------+------------------------------------------------------------+
            | u32 points | u32 first place | u32 places from first to last | u8 columns
            | one bit a place, where not all are there
            | column: u8 form | u8 rows | i64 least | numbers, by byte: all lowest first, …

A column has one number a point in each of its rows, row after row. Its form, from the lowest bit: two bits for the
width (1, 2, 4 or 8 bytes), 4: floats, 8: each number is the difference to the one before, 16 and 32: floats times
10 to the power of 0 to 3, which are whole then. Floats that are not whole so are kept bit for bit, each
xor-ed with the one before. Places are windows of a block, or stand for nothing where points have times of their own.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import zstandard

from monitoring.pipeline.errors import StoreCorrupt

__all__ = ["Codec", "Column", "Packed"]

Column = npt.NDArray[Any]
"""Rows of int64 or float64."""
_VERSION = 1
_HEAD = struct.Struct("<IIIB")
_COLUMN = struct.Struct("<BBq")
_FLOAT, _DELTA, _SCALED = 4, 8, 16
_RAW = 64
_LEVEL = 3
"""Level 9 makes blocks 2 % smaller and takes five times as long."""
_EXACT = float(1 << 53)
_WIDTHS = (1, 2, 4, 8)
_MOST_BYTES = 64 << 20


class Packed(NamedTuple):
    """Points by their places in a block, rising, and what they are."""

    places: npt.NDArray[np.int64]
    columns: list[Column]


class Codec:
    """Encodes and decodes. Not for several threads."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self._decompressor = zstandard.ZstdDecompressor()

    def encode(self, packed: Packed) -> bytes:
        """As bytes; there is at least one point."""
        places = packed.places
        first, count = int(places[0]), len(places)
        reach = int(places[-1]) - first + 1
        parts = [_HEAD.pack(count, first, reach, len(packed.columns))]
        if reach != count:
            mask = np.zeros(reach, dtype=np.bool_)
            mask[places - first] = True
            parts.append(np.packbits(mask).tobytes())
        parts.extend(map(_column, packed.columns))
        return bytes([_VERSION]) + self._compressor.compress(b"".join(parts))

    def decode(self, data: bytes) -> Packed:
        """The points. Raises StoreCorrupt."""
        try:
            if data[0] != _VERSION:
                raise StoreCorrupt(f"points of version {data[0]}: upgrade this release")
            return _unpacked(self._decompressor.decompress(data[1:], max_output_size=_MOST_BYTES))
        except (zstandard.ZstdError, struct.error, ValueError, IndexError) as error:
            raise StoreCorrupt(f"packed points are damaged: {error}; run `monitoring verify`") from error


def _column(column: Column) -> bytes:
    form, numbers = 0, column
    if column.dtype == np.float64:
        form, numbers = _whole(column)
    rows = len(column)
    if form & _RAW:
        return _COLUMN.pack(form, rows, 0) + _shuffled(_xored(numbers), 8)
    flat = numbers.reshape(-1)
    least, width, offsets = _offsets(flat)
    if width > 1 and len(flat) > 1:
        steps = np.diff(flat, prepend=flat[:1])
        other = _offsets(steps[1:])
        if other[1] < width:
            start = flat[:1].tobytes()
            form |= _DELTA
            return _COLUMN.pack(form | _WIDTHS.index(other[1]), rows, other[0]) + start + _shuffled(other[2], other[1])
    return _COLUMN.pack(form | _WIDTHS.index(width), rows, least) + _shuffled(offsets, width)


def _whole(column: Column) -> tuple[int, Column]:
    """Floats as whole numbers, where a power of ten makes them such, exactly."""
    if not np.isfinite(column).all():
        return _FLOAT | _RAW, column
    if np.abs(column).max() >= _EXACT:
        return _FLOAT | _RAW, column
    for power in range(4):
        scaled = np.rint(column * 10**power)
        if (np.abs(scaled) < _EXACT).all() and (scaled / 10**power == column).all():
            if (np.signbit(column) & (column == 0)).any():
                break
            return _FLOAT | _SCALED * power, scaled.astype(np.int64)
    return _FLOAT | _RAW, column


def _offsets(numbers: Column) -> tuple[int, int, npt.NDArray[np.uint64]]:
    """The least, how many bytes the rest needs above it, and that. Differences wrap, and wrap back when added up."""
    least = numbers.min()
    offsets = (numbers - least).view(np.uint64)
    most = int(offsets.max())
    width = next(width for width in _WIDTHS if most < 1 << 8 * width)
    return int(least), width, offsets


def _xored(column: Column) -> npt.NDArray[np.uint64]:
    bits = np.ascontiguousarray(column).reshape(-1).view(np.uint64).copy()
    bits[1:] ^= bits[:-1].copy()
    return bits


def _shuffled(numbers: npt.NDArray[np.uint64], width: int) -> bytes:
    small = numbers.astype(f"<u{width}")
    return small.tobytes() if width == 1 else small.view(np.uint8).reshape(-1, width).T.tobytes()


def _unpacked(body: bytes) -> Packed:
    count, first, reach, columns = _HEAD.unpack_from(body)
    at = _HEAD.size
    if reach == count:
        places = np.arange(first, first + count)
    else:
        size = -(-reach // 8)
        mask = np.unpackbits(np.frombuffer(body, np.uint8, size, at), count=reach)
        places = np.flatnonzero(mask) + first
        at += size
    found = []
    for _ in range(columns):
        column, at = _read_column(body, at, count)
        found.append(column)
    return Packed(places, found)


def _read_column(body: bytes, at: int, count: int) -> tuple[Column, int]:
    form, rows, least = _COLUMN.unpack_from(body, at)
    at += _COLUMN.size
    length = rows * count
    if form & _RAW:
        bits = np.bitwise_xor.accumulate(_unshuffled(body, at, length, 8).astype(np.uint64))
        return bits.view(np.float64).reshape(rows, count), at + 8 * length
    width = _WIDTHS[form & 3]
    if form & _DELTA:
        numbers = np.empty(length, dtype=np.int64)
        numbers[0] = np.frombuffer(body, "<i8", 1, at)[0]
        at += 8
        length -= 1
        numbers[1:] = _unshuffled(body, at, length, width)
        numbers[1:] += least
        np.cumsum(numbers, out=numbers)
    else:
        numbers = _unshuffled(body, at, length, width).astype(np.int64)
        if least:
            numbers += least
    at += width * length
    column = numbers.reshape(rows, count)
    if not form & _FLOAT:
        return column, at
    power = form >> 4 & 3
    return column / 10**power if power else column.astype(np.float64), at


def _unshuffled(body: bytes, at: int, length: int, width: int) -> npt.NDArray[Any]:
    if width == 1:
        return np.frombuffer(body, np.uint8, length, at)
    if len(body) - at < length * width:
        raise ValueError("they end early")
    planes = np.frombuffer(body, np.uint8, length * width, at).reshape(width, length)
    return np.ascontiguousarray(planes.T).reshape(-1).view(f"<u{width}")
