"""Bytes of files, compressed ones too, and of standard input.

What a file is compressed with is told by its first bytes, not by its name: gzip, zstd, bzip2, xz. Offsets
count decompressed bytes. UTF-16 with its mark is read as UTF-8.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import select
import stat
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol, cast

from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.ingest.state import Identity, identify

__all__ = ["BLOCK_BYTES", "Broken", "FileSource", "PipeSource", "Source", "Unreadable", "looks_binary", "open_source"]

BLOCK_BYTES = 256 << 10
"""Read at a time: what a frame holds. More is not faster (1 MiB: 2 %), less is (64 KiB: 4 % slower)."""

_MAGIC = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2"), (b"\xfd7zXZ\x00", "xz"))
_ARCHIVES = (
    (b"PK\x03\x04", "a zip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"SQLite format 3\x00", "a database"),
    (b"\x7fELF", "a program"),
    (b"LPKSHHRH", "a journal; pipe it: journalctl -o json | monitoring ingest -"),
)
_ENCODINGS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_MARKS = tuple(mark for mark, _ in _ENCODINGS)
_Read = Callable[[int], bytes]
_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, OSError)


class Unreadable(PermanentError):
    """A file that cannot be ingested at all; the message says why and what to do."""


class Broken(PermanentError):
    """The file cannot be read further: its compressed data is damaged or ends early, or its disk fails."""


class Source(Protocol):
    """Bytes in order. Not thread-safe."""

    name: str

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`; b"" where there are none for now. Raises Broken."""
        ...

    @property
    def at_end(self) -> bool:
        """Whether b"" was the end, for all that is known now."""
        ...

    @property
    def done_bytes(self) -> int:
        """How far it is read, in the bytes that `total_bytes` counts."""
        ...

    @property
    def total_bytes(self) -> int | None:
        """Its size, None where it has none."""
        ...

    def close(self) -> None:
        """Give it up."""
        ...


class FileSource:
    """A regular file, from an offset on. `identity` is what it was when last asked: see `look`."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises Unreadable."""
        self.path = path
        self.name = str(path)
        handle = _open(path)
        self._raw = os.fdopen(handle, "rb", buffering=0)
        try:
            self.identity = identify(handle)
            self.compression = _compression(self.identity.head)
            _refuse(self.name, self.identity.head, self.compression)
            self.modified_ns = os.fstat(handle).st_mtime_ns
            self._read, self.plain = _decoded(self._raw, self.compression, self.identity.head)
        except BaseException:
            self._raw.close()
            raise
        self._offset = 0

    def seek(self, offset: int) -> None:
        """Go on at this byte of the decompressed content: compressed files are read up to there. Raises Broken."""
        if self.plain:
            self._raw.seek(offset)
            self._offset = offset
            return
        while self._offset < offset:
            if not self.read(min(BLOCK_BYTES, offset - self._offset)):
                raise Broken(f"{self.name} ends before byte {offset}, where the last run stopped")

    def look(self) -> Identity:
        """The identity of the open file now: it may have grown, or been truncated."""
        self.identity = identify(self._raw.fileno())
        return self.identity

    def read(self, size: int) -> bytes:
        """See Source."""
        try:
            data = self._read(size)
        except _DAMAGED as error:
            raise Broken(f"{self.name}: {self.compression or 'file'} data is damaged or ends early: {error}") from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "zstandard":
                raise
            raise Broken(f"{self.name}: zstd data is damaged or ends early: {error}") from error
        self._offset += len(data)
        return data

    @property
    def at_end(self) -> bool:
        """See Source."""
        return True

    @property
    def done_bytes(self) -> int:
        """See Source."""
        return self._raw.tell()

    @property
    def total_bytes(self) -> int | None:
        """See Source."""
        return self.identity.size

    def close(self) -> None:
        """See Source."""
        self._raw.close()


class PipeSource:
    """Standard input or a named pipe: read once, never to be seen again.

    `read` waits at most `wait_seconds` for bytes, so that what came before can be sent.
    """

    def __init__(self, handle: int, name: str = "stdin", *, wait_seconds: float = 0.1) -> None:
        self.name = name
        self._handle = handle
        self._wait_seconds = wait_seconds
        self._done = 0
        self._ended = False
        self._decoder: _Read | None = None
        self._first = True

    def read(self, size: int) -> bytes:
        """See Source."""
        if self._ended:
            return b""
        if self._decoder is not None:
            return self._decoded(size)
        if not select.select([self._handle], [], [], self._wait_seconds)[0]:
            return b""
        data = os.read(self._handle, size)
        self._done += len(data)
        if self._first and data:
            self._first = False
            compression = _compression(data)
            _refuse(self.name, data, compression)
            if compression or data.startswith(_MARKS):
                rest = os.fdopen(self._handle, "rb", closefd=False)
                self._decoder, _ = _decoded(_Rejoined(data, rest), compression, data)
                return self._decoded(size)
        self._ended = not data
        return data

    def _decoded(self, size: int) -> bytes:
        assert self._decoder is not None  # noqa: S101 - `read` has asked
        try:
            data = self._decoder(size)
        except Exception as error:
            self._ended = True
            raise Broken(f"{self.name}: compressed data is damaged or ends early: {error}") from error
        self._done += len(data)
        self._ended = not data
        return data

    @property
    def at_end(self) -> bool:
        """See Source."""
        return self._ended

    @property
    def done_bytes(self) -> int:
        """See Source."""
        return self._done

    @property
    def total_bytes(self) -> int | None:
        """See Source."""
        return None

    def close(self) -> None:
        """See Source; standard input stays open."""


class _Rejoined(io.RawIOBase):
    """The bytes that were read from a pipe already, then the rest of it."""

    def __init__(self, first: bytes, rest: IO[bytes]) -> None:
        self._first = first
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # the stubs want a Buffer
        data = self._first[: len(buffer)] or self._rest.read(len(buffer))
        self._first = self._first[len(data) :] if self._first else b""
        buffer[: len(data)] = data
        return len(data)


class _Recoded:
    """UTF-16 as UTF-8."""

    def __init__(self, raw: io.RawIOBase, encoding: str) -> None:
        self._raw = raw
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")

    def read(self, size: int) -> bytes:
        """At most `size` bytes; a unit of two bytes becomes up to three."""
        while True:
            data = self._raw.read(max(2, size // 2)) or b""
            text = self._decoder.decode(data, final=not data).removeprefix("\ufeff")
            if text or not data:
                return text.encode("utf-8", "replace")


def open_source(path: Path) -> FileSource | PipeSource:
    """What a name on the command line stands for: a file, or a pipe that some shell made. Raises Unreadable."""
    with suppress(OSError):
        mode = path.stat().st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or path == Path("/dev/stdin"):
            return PipeSource(os.open(path, os.O_RDONLY | os.O_CLOEXEC), str(path))
    return FileSource(path)


def _open(path: Path) -> int:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise Unreadable(f"{path} does not exist") from None
    except PermissionError:
        raise Unreadable(f"{path} may not be read by this user; try sudo, or join its group") from None
    except OSError as error:
        raise Unreadable(f"{path} cannot be opened: {error.strerror}") from None
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return handle
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise Unreadable(f"{path} is a directory; name its files: monitoring ingest {path}/*.log")
    raise Unreadable(f"{path} is not a file; pipe it: monitoring ingest - < {path}")


def _compression(head: bytes) -> str:
    return next((name for magic, name in _MAGIC if head.startswith(magic)), "")


def _refuse(name: str, head: bytes, compression: str) -> None:
    """Raises Unreadable for what is no log."""
    for magic, what in _ARCHIVES:
        if head.startswith(magic):
            raise Unreadable(f"{name} is {what}" if ";" in what else f"{name} is {what}, not a log; unpack it first")
    if not compression and not head.startswith(_MARKS) and looks_binary(head):
        raise Unreadable(f"{name} holds binary data, not lines of text")


def _decoded(raw: io.RawIOBase, compression: str, head: bytes) -> tuple[_Read, bool]:
    """How to read the decompressed and recoded bytes of a file, and whether they are the file's own.

    `read1` where there is one: `read` would lose what stands before a damaged place.
    """
    if compression == "gzip":
        return gzip.GzipFile(fileobj=raw, mode="rb").read1, False
    if compression == "zstd":
        import zstandard

        decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        return decompressor.stream_reader(cast(IO[bytes], raw), read_across_frames=True, closefd=False).read1, False
    if compression == "bzip2":
        return bz2.BZ2File(cast(IO[bytes], raw)).read1, False
    if compression == "xz":
        return lzma.LZMAFile(cast(IO[bytes], raw)).read1, False
    for mark, encoding in _ENCODINGS:
        if head.startswith(mark):
            return _Recoded(raw, encoding).read, False
    return lambda size: raw.read(size) or b"", True


def looks_binary(head: bytes) -> bool:
    """Whether these first bytes are no text. Zeros at the very start are what truncation under a writer leaves."""
    rest = head.lstrip(b"\x00")
    odd = sum(rest.count(code) for code in _CONTROL)
    return len(rest) > 0 and odd * 20 > len(rest)


_CONTROL = [bytes([code]) for code in range(32) if code not in (9, 10, 12, 13, 27)]
"""Bytes that text does not hold; tab, line ends, form feed and escape (colours) it does."""
