"""A wall clock that a fault test can set, for processes that find this folder in PYTHONPATH.

The file named by FAULT_CLOCK holds an offset in nanoseconds, a little-endian int64, which is added to what
`time.time` and `time.time_ns` say, in every process and its forked children, as soon as it is written. Clocks
that nobody can set (monotonic, boot time) are left alone.
"""

import mmap
import os
import struct
import time


def _shift(path: str) -> None:
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib would be imported into every process at its start
        shared = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    real, real_ns, offset = time.time, time.time_ns, struct.Struct("<q").unpack_from

    def shifted() -> float:
        return real() + float(offset(shared)[0]) / 1e9

    def shifted_ns() -> int:
        return real_ns() + int(offset(shared)[0])

    time.time, time.time_ns = shifted, shifted_ns


if os.environ.get("FAULT_CLOCK"):
    _shift(os.environ["FAULT_CLOCK"])
