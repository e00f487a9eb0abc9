"""What container runtimes wrap around each line of a program's output.

    {"log":"line\\n","stream":"stderr","time":"2024-05-01T12:00:00.123456789Z"}          Docker's json-file
    2024-05-01T12:00:00.123456789Z stderr F line                                        CRI (containerd, CRI-O)

Long lines come in parts: Docker's end without a newline, CRI's are tagged P, the last one F.
"""

from __future__ import annotations

import re

from monitoring.pipeline.events.event import MAX_EVENT_BYTES
from monitoring.pipeline.events.formats.format import Piece
from monitoring.pipeline.events.lenient import UNSAID, Defaults, NotAnEvent, decode
from monitoring.pipeline.events.timestamps import from_text

__all__ = ["unwrap_cri", "unwrap_docker"]

_CRI = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) (stdout|stderr) ([PF])(?::\S*)?(?: |$)"
)


def unwrap_docker(line: bytes, defaults: Defaults) -> Piece | None:
    """The piece in a line of Docker's json-file log."""
    if line[:1] != b"{" or b'"log"' not in line or len(line) > MAX_EVENT_BYTES:
        return None
    try:
        record = decode(line)
    except NotAnEvent:
        return None
    text, time = record.get("log"), record.get("time")
    if type(text) is not str or type(time) is not str or not record.keys() <= {"log", "stream", "time", "attrs"}:
        return None
    stream = str(record.get("stream", "stdout"))
    attributes = {"stream": stream}
    if type(record.get("attrs")) is dict:
        attributes |= record["attrs"]
    found = from_text(time, defaults.zone, defaults.reference_ns)
    partial = not text.endswith("\n")
    body = text.encode("utf-8", "backslashreplace").removesuffix(b"\n").removesuffix(b"\r")
    return Piece(body, stream, UNSAID if found is None else found, partial, attributes)


def unwrap_cri(line: bytes, defaults: Defaults) -> Piece | None:
    """The piece in a line of the Container Runtime Interface."""
    match = _CRI.match(line)
    if match is None:
        return None
    found = from_text(match[1].decode(), defaults.zone, defaults.reference_ns)
    if found is None:
        return None
    stream = match[2].decode()
    return Piece(line[match.end() :], stream, found, match[3] == b"P", {"stream": stream})
