"""Prometheus' remote write 1.0: a snappy block of a WriteRequest, read as samples and descriptions of families.

    timeseries  labels with __name__ -> a series; each sample stays as it came, NaN and stale markers included
    metadata    type, help, unit -> a delta that only describes its family

Source: https://prometheus.io/docs/specs/prw/remote_write_spec/ and prometheus/prompb/{remote,types}.proto.
"""

from __future__ import annotations

import struct
from functools import cache, lru_cache
from typing import Any

import orjson

from monitoring.pipeline.events.defaults import Defaults
from monitoring.pipeline.events.delta import STALE, TYPES, Delta, family_text
from monitoring.pipeline.events.event import Rejected
from monitoring.pipeline.events.lenient import NotAnEvent, rejected
from monitoring.pipeline.ingest.documents import Unreadable
from monitoring.pipeline.ingest.intake import Intake, TooMuch
from monitoring.pipeline.ingest.messages import message_types
from monitoring.pipeline.store.deltas import DESCRIBES, DeltaInvalid, read_family, read_labels

__all__ = ["TooLarge", "decompressed", "messages", "read"]

_MS = 1_000_000
_NAME = "__name__"
_STALE = 0x7FF0000000000002
"""The NaN that says that a series ended (prometheus/model/value)."""
_KINDS = ("", "counter", "gauge", "histogram", "", "summary", "", "")
"""Names of MetricMetadata.MetricType that we have; gauge histograms, info and state sets are of no known type."""


class TooLarge(TooMuch):
    """The block says that it holds more than is taken."""


@cache
def messages() -> dict[str, Any]:
    """The messages of a WriteRequest."""
    return message_types(
        "monitoring.prometheus",
        {
            "WriteRequest": [("timeseries", 1, "repeated TimeSeries"), ("metadata", 3, "repeated MetricMetadata")],
            "TimeSeries": [
                ("labels", 1, "repeated Label"),
                ("samples", 2, "repeated Sample"),
                ("histograms", 4, "repeated bytes"),
            ],
            "Label": [("name", 1, "string"), ("value", 2, "string")],
            "Sample": [("value", 1, "double"), ("timestamp", 2, "int64")],
            "MetricMetadata": [
                ("type", 1, "int32"),
                ("metric_family_name", 2, "string"),
                ("help", 4, "string"),
                ("unit", 5, "string"),
            ],
        },
    )


def decompressed(block: bytes, limit: int) -> bytes:
    """The bytes of a snappy block, whose header is believed only up to `limit`. Raises TooLarge, Unreadable."""
    from cramjam import DecompressionError, snappy

    try:
        size = snappy.decompress_raw_len(block) if block else 0
        if size > limit:
            raise TooLarge(f"the block holds {size} bytes, more than {limit}")
        return bytes(snappy.decompress_raw(block)) if block else b""
    except DecompressionError as error:
        raise Unreadable(f"the body is no snappy block: {error}") from None


def read(body: bytes, defaults: Defaults, source: str, most: int) -> Intake:
    """The deltas of a WriteRequest. Raises Unreadable, TooMuch beyond so many samples."""
    from google.protobuf.message import DecodeError

    try:
        request = messages()["WriteRequest"].FromString(body)
    except DecodeError as error:
        raise Unreadable(f"the body is not a WriteRequest: {error}") from None
    deltas: list[Delta] = []
    refused: list[Rejected] = []
    for number, series in enumerate(request.timeseries, 1):
        try:
            deltas += _samples(series, defaults)
            if series.histograms:
                raise NotAnEvent("native histograms are not stored: send classic ones")
        except (NotAnEvent, DeltaInvalid) as error:
            refused.append(rejected(str(error)[:200], _raw(series), source, number))
        if len(deltas) > most:
            raise TooMuch(f"more than {most} samples")
    for about in request.metadata:
        try:
            deltas.append(_description(about, defaults))
        except DeltaInvalid as error:
            refused.append(rejected(str(error)[:200], about.metric_family_name.encode(), source))
    if len(deltas) > most:
        raise TooMuch(f"more than {most} samples")
    return Intake(deltas, refused)


def _samples(series: Any, defaults: Defaults) -> list[Delta]:
    """The samples of a series; one of a time that cannot be spoils them all, for its clock is wrong."""
    pairs = [(label.name, label.value) for label in series.labels]
    labels = dict(pairs)
    if len(labels) < len(pairs):
        raise NotAnEvent("a label is there twice")
    family = _family(labels.pop(_NAME, ""))
    text = _checked(orjson.dumps(labels, option=orjson.OPT_SORT_KEYS).decode())
    found = []
    for sample in series.samples:
        at = sample.timestamp * _MS
        if not 0 <= at <= defaults.latest_ns:
            raise NotAnEvent("the time of a sample is more than a day ahead, or before 1970")
        found.append(Delta(at, 0, "", "", "", "", family, text, _value(sample.value)))
    return found


@lru_cache(maxsize=8192)
def _family(name: str) -> str:
    text = family_text(name=name, kind="sample")
    read_family(text)
    return text


@lru_cache(maxsize=65_536)
def _checked(text: str) -> str:
    """The labels, without those that are empty. Raises DeltaInvalid."""
    return orjson.dumps(read_labels(text), option=orjson.OPT_SORT_KEYS).decode()


def _value(value: float) -> str:
    if value - value == 0:  # a number, and not an infinite one
        return repr(value)
    if value != value:
        return f'"{STALE}"' if struct.unpack("<Q", struct.pack("<d", value))[0] == _STALE else '"NaN"'
    return '"+Inf"' if value > 0 else '"-Inf"'


def _description(about: Any, defaults: Defaults) -> Delta:
    kind = _KINDS[about.type] if 0 <= about.type < len(_KINDS) else ""
    text = family_text(
        name=about.metric_family_name,
        kind="sample",
        unit=about.unit,
        help=about.help,
        type=kind if kind in TYPES else "unknown",
    )
    read_family(text)
    return Delta(defaults.received_ns, 0, "", family=text, value=DESCRIBES)


def _raw(series: Any) -> bytes:
    labels = {label.name: label.value for label in series.labels}
    samples = [(sample.timestamp, repr(sample.value)) for sample in series.samples]
    return orjson.dumps({"labels": labels, "samples": samples})
