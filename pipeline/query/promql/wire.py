"""Prometheus' JSON: how its HTTP API writes numbers, times, answers and errors, and reads times and steps.

Source: Prometheus' documentation of its HTTP API. Values are texts, so that NaN and the infinities have one; times are
numbers of seconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import orjson

from monitoring.pipeline.query.promql.engine import Answer
from monitoring.pipeline.query.promql.errors import PromqlError
from monitoring.pipeline.query.promql.source import Floats, Samples

__all__ = ["MAX_POINTS", "check_range", "encode", "encode_answer", "encode_error", "moment_ms", "number", "step_ms"]

MAX_POINTS = 11_000
"""Steps of a range query at most: what a graph of a week by the minute has, Prometheus' own limit."""
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_ORDER = ("y", "w", "d", "h", "m", "s", "ms")
_LARGEST_MS = 1 << 53
"""Beyond this a float tells no milliseconds apart."""


# ---------------------------------------------------------------------- what is asked


def moment_ms(text: str, parameter: str) -> int:
    """A time, in milliseconds since 1970: seconds as a decimal number, or RFC 3339. Raises PromqlError."""
    seconds = _decimal(text)
    if seconds is None:
        try:
            found = datetime.fromisoformat(text)
            seconds = found.timestamp() if found.tzinfo else None
        except ValueError:
            seconds = None
    if seconds is None or not abs(seconds) * 1000 < _LARGEST_MS:
        raise PromqlError(f'invalid parameter "{parameter}": cannot parse "{text}" to a valid timestamp', "bad_data")
    return math.floor(seconds * 1000 + 0.5)


def step_ms(text: str, parameter: str) -> int:
    """A duration in milliseconds: seconds as a decimal number, or like `1h30m`. Raises PromqlError."""
    seconds = _decimal(text)
    if seconds is not None and abs(seconds) * 1000 < _LARGEST_MS:
        return int(seconds * 1000)
    match = _DURATION.fullmatch(text)
    if seconds is not None or match is None or not text:
        raise PromqlError(f'invalid parameter "{parameter}": cannot parse "{text}" to a valid duration', "bad_data")
    return sum(int(count) * _UNITS[unit] for count, unit in zip(match.groups(), _ORDER, strict=True) if count)


def check_range(start: int, end: int, step: int) -> None:
    """Whether a range can be asked for, times and step in milliseconds. Raises PromqlError."""
    if end < start:
        raise PromqlError('invalid parameter "end": end timestamp must not be before start time', "bad_data")
    if step <= 0:
        raise PromqlError(
            'invalid parameter "step": zero or negative query resolution step widths are not accepted. '
            "Try a positive integer",
            "bad_data",
        )
    if (end - start) // step > MAX_POINTS:
        raise PromqlError(
            f"exceeded maximum resolution of {MAX_POINTS:,} points per timeseries. "
            "Try decreasing the query resolution (?step=XX)",
            "bad_data",
        )


def _decimal(text: str) -> float | None:
    try:
        return float(text) if re.fullmatch(r"[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?", text) else None
    except ValueError:
        return None


# ---------------------------------------------------------------------- what is answered


def encode(data: Any, warnings: Iterable[str] = ()) -> bytes:
    """The document of a success: data that orjson can write."""
    return _document(orjson.dumps(data), warnings, ())


def encode_answer(answer: Answer, time_ms: int) -> bytes:
    """The document of a query's answer; `time_ms` is when an instant query was asked for."""
    return _document(_answer(answer, time_ms), answer.warnings, answer.infos)


def _document(body: bytes, warnings: Iterable[str], infos: Iterable[str]) -> bytes:
    notes = {"warnings": list(warnings), "infos": list(infos)}
    rest = b"".join(b',"%s":%s' % (name.encode(), orjson.dumps(found)) for name, found in notes.items() if found)
    return b'{"status":"success","data":%s%s}' % (body, rest)


def encode_error(kind: str, message: str) -> bytes:
    """The document of an error; `kind` is Prometheus' `errorType`."""
    return orjson.dumps({"status": "error", "errorType": kind, "error": message})


def number(value: float) -> str:
    """A value as Go prints the shortest text that reads back as it."""
    if value != value:
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(float(value))
    if "e" in text and 1e-6 <= abs(value) < 1e21:
        text = format(Decimal(text), "f")
    elif "e" not in text and 0 < abs(value) < 1e-6:
        text = f"{Decimal(text):e}"
    return text.removesuffix(".0")


def _time(milliseconds: int) -> str:
    whole, rest = divmod(milliseconds, 1000)
    if rest and whole < 0:
        whole, rest, sign = -whole - 1, 1000 - rest, "-"
        return f"{sign}{whole}.{rest:03d}"
    return f"{whole}.{rest:03d}" if rest else str(whole)


def _point(milliseconds: int, value: float) -> str:
    return f'[{_time(milliseconds)},"{number(value)}"]'


def _answer(answer: Answer, time_ms: int) -> bytes:
    kind, value = answer.type, answer.value
    if isinstance(value, float):
        result = _point(time_ms, value)
    elif isinstance(value, str):
        result = f"[{_time(time_ms)},{orjson.dumps(value).decode()}]"
    else:
        points = _Points()
        result = f"[{','.join(points.series(each) if isinstance(each, Samples) else _sample(*each) for each in value)}]"
    return f'{{"resultType":"{kind}","result":{result}}}'.encode()


def _labels(labels: Mapping[str, str]) -> str:
    return orjson.dumps(dict(labels), option=orjson.OPT_SORT_KEYS).decode()


def _sample(labels: Mapping[str, str], milliseconds: int, value: float) -> str:
    return f'{{"metric":{_labels(labels)},"value":{_point(milliseconds, value)}}}'


class _Points:
    """Writes series. Their values go through orjson at once, which is ten times as fast as one after the other."""

    def __init__(self) -> None:
        self._templates: dict[bytes, str] = {}

    def series(self, series: Samples) -> str:
        """One series with its points."""
        key = series.times.tobytes()
        if (template := self._templates.get(key)) is None:
            template = ",".join([f'[{_time(time)},"%s"]' for time in series.times.tolist()])
            self._templates[key] = template
        return f'{{"metric":{_labels(series.labels)},"values":[{template % tuple(_numbers(series.values))}]}}'


def _numbers(values: Floats) -> list[str]:
    """What `number` says of each. orjson writes the same shortest digits, but for exponents and what is not finite."""
    text = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY).decode()
    found = f"{text[1:-1]},".replace(".0,", ",").split(",")[:-1] if len(values) else []
    if "e" in text or "n" in text:
        odd = [place for place, each in enumerate(found) if "e" in each or "n" in each]
        for place in odd:
            found[place] = number(float(values[place]))
    return found
