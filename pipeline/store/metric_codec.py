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

import contextlib
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import zstandard

from monitoring.pipeline.errors import StoreCorrupt

__all__ = ["Batch", "Codec", "Column", "Packed"]

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
        ((_, batch),) = self.batches([data])
        return Packed(batch.places, [batch.column(number)[0] for number in range(len(batch))])

    def batches(self, rows: Sequence[bytes]) -> Iterator[tuple[list[int], Batch]]:
        """The points of many series, those together that lie alike; which of the `rows` each batch has.

        A column of a batch comes as one matrix: most of what reading costs is the call, not the numbers. Raises
        StoreCorrupt.
        """
        alike: dict[bytes, list[int]] = {}
        with _said():
            bodies = [self._body(data) for data in rows]
            layout = _Layout()
            for number, body in enumerate(bodies):
                alike.setdefault(layout.of(body), []).append(number)
            for numbers in alike.values():
                together = np.frombuffer(b"".join([bodies[number] for number in numbers]), np.uint8)
                yield numbers, Batch(together.reshape(len(numbers), -1))

    def _body(self, data: bytes) -> bytes:
        if data[0] != _VERSION:
            raise StoreCorrupt(f"points of version {data[0]}: upgrade this release")
        return self._decompressor.decompress(memoryview(data)[1:], max_output_size=_MOST_BYTES)


@contextlib.contextmanager
def _said() -> Iterator[None]:
    try:
        yield
    except (zstandard.ZstdError, struct.error, ValueError, IndexError) as error:
        raise StoreCorrupt(f"packed points are damaged: {error}; run `monitoring verify`") from error


class _Form(NamedTuple):
    """What a column's head says but for its least number, and where the column begins."""

    form: int
    rows: int
    at: int


class Batch:
    """Points of series that have them at the same `places`, and whose columns have the same forms."""

    def __init__(self, bodies: npt.NDArray[np.uint8]) -> None:
        self._bodies = bodies
        first = bodies[0].tobytes()
        self._count, start, reach, _ = _HEAD.unpack_from(first)
        if reach == self._count:
            self.places = np.arange(start, start + self._count)
        else:
            mask = np.unpackbits(bodies[0, _HEAD.size : _HEAD.size + -(-reach // 8)], count=reach)
            self.places = np.flatnonzero(mask) + start
            if len(self.places) != self._count:
                raise ValueError("as many places as points are wanted")
        self._forms = list(_forms(first))

    def __len__(self) -> int:
        """How many columns."""
        return len(self._forms)

    def column(self, number: int) -> Column:
        """One column, of int64 or float64: series by rows by points. Raises StoreCorrupt."""
        with _said():
            return self._column(number)

    def _column(self, number: int) -> Column:
        form, rows, at = self._forms[number]
        shape, length = (len(self._bodies), rows, self._count), rows * self._count
        least = self._whole(at + 2)
        at += _COLUMN.size
        if form & _RAW:
            bits = np.bitwise_xor.accumulate(self._unshuffled(at, length, 8).astype(np.uint64), axis=1)
            return bits.view(np.float64).reshape(shape)
        width = _WIDTHS[form & 3]
        if form & _DELTA:
            numbers = np.empty((len(self._bodies), length), dtype=np.int64)
            numbers[:, :1] = self._whole(at)
            numbers[:, 1:] = self._unshuffled(at + 8, length - 1, width)
            numbers[:, 1:] += least
            np.cumsum(numbers, axis=1, out=numbers)
        else:
            numbers = self._unshuffled(at, length, width).astype(np.int64)
            if least.any():
                numbers += least
        column = numbers.reshape(shape)
        if not form & _FLOAT:
            return column
        power = form >> 4 & 3
        return column / 10**power if power else column.astype(np.float64)

    def _whole(self, at: int) -> Column:
        """A number of 8 bytes of each series."""
        return self._bytes(at, 8).view("<i8")

    def _bytes(self, at: int, length: int) -> npt.NDArray[np.uint8]:
        found = self._bodies[:, at : at + length]
        if found.shape[1] != length:
            raise ValueError("they end early")
        return np.ascontiguousarray(found)

    def _unshuffled(self, at: int, length: int, width: int) -> npt.NDArray[Any]:
        planes = self._bytes(at, length * width)
        if width == 1:
            return planes
        planes = planes.reshape(-1, width, length)
        return np.ascontiguousarray(planes.transpose(0, 2, 1)).view(f"<u{width}")[..., 0]


class _Layout:
    """What batches are made by: length, places, and the forms of columns, which say where the next one begins."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[int, list[int]]] = {}
        self._sure: set[bytes] = set()

    def of(self, body: bytes) -> bytes:
        """The same for bodies that lie alike."""
        shape = len(body).to_bytes(4, "little") + body[: _HEAD.size]
        if shape in self._known:  # the columns begin where those of the one before did, if their forms are the same
            found = self._at(body, shape)
            if found in self._sure:
                return found
        count, _, reach, _ = _HEAD.unpack_from(body)
        head = _HEAD.size if reach == count else _HEAD.size + -(-reach // 8)
        self._known[shape] = head, [at for _, _, at in _forms(body)]
        found = self._at(body, shape)
        self._sure.add(found)
        return found

    def _at(self, body: bytes, shape: bytes) -> bytes:
        head, places = self._known[shape]
        return shape[:4] + body[:head] + b"".join([body[at : at + 2] for at in places])


def _forms(body: bytes) -> Iterator[_Form]:
    count, _, reach, columns = _HEAD.unpack_from(body)
    at = _HEAD.size if reach == count else _HEAD.size + -(-reach // 8)
    for _ in range(columns):
        form, rows = body[at], body[at + 1]
        yield _Form(form, rows, at)
        length = rows * count
        at += _COLUMN.size
        if form & _RAW:
            at += 8 * length
        elif form & _DELTA:
            at += 8 + _WIDTHS[form & 3] * (length - 1)
        else:
            at += _WIDTHS[form & 3] * length


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
