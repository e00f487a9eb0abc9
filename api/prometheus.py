"""`/prometheus/api/v1/…`: Prometheus' query API, so that what asks a Prometheus can ask us.

Parameters come in the address or, by POST, as a form; names that are not known are passed over and answers have
Prometheus' shape, errors too, as its clients expect. Only what is wrong before a query is read (a key, a size) is
answered as everywhere here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import Any

from flask import Response, request

from monitoring.api.params import Form, Member, Repeated, Text, Whole
from monitoring.api.routes import ASKING, Answer, Call, Route
from monitoring.pipeline.errors import RetryableError
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.promql import engine, wire
from monitoring.pipeline.query.promql.errors import PromqlError
from monitoring.pipeline.query.promql.parse import selector
from monitoring.pipeline.query.promql.source import Matcher, Source
from monitoring.pipeline.query.ranges import LATEST
from monitoring.pipeline.store.metric_source import MetricSource
from monitoring.pipeline.store.reader import OutOfTime

__all__ = [
    "END",
    "QUERY",
    "ROUTES",
    "START",
    "answering",
    "buildinfo",
    "label_names",
    "label_values",
    "metadata",
    "query",
    "query_range",
    "series",
]

_STATUS = {"bad_data": 400, "execution": 422, "timeout": 503, "unavailable": 503}
_LATEST_MS = LATEST // 1_000_000
_SPEAKS = "3.5.0"
"""The Prometheus whose query language and API these are: clients choose by it what they ask for."""


def answering(endpoint: Callable[..., bytes]) -> Callable[..., Answer]:
    """The endpoint with its errors in Prometheus' shape, in turn with the other queries."""

    @wraps(endpoint)
    def answer(call: Call, **arguments: Any) -> Answer:
        try:
            with call.runtime.gate.entered():
                return _respond(endpoint(call, **arguments), 200)
        except PromqlError as error:
            return _respond(wire.encode_error(error.kind, str(error)), _STATUS[error.kind])
        except OutOfTime as error:
            return _respond(wire.encode_error("timeout", str(error)), 503)
        except RetryableError as error:
            return _respond(wire.encode_error("unavailable", str(error)), 503)

    return answer


@answering
def query(call: Call) -> bytes:
    """PromQL at one moment."""
    source, deadline = _source(call)
    time_ms = _moment("time", call.runtime.now_ns() // 1_000_000)
    lookback_ms = _lookback()
    with _parameter("query"):
        found = engine.instant(source, _text("query"), time_ms, deadline=deadline, lookback_ms=lookback_ms)
    return wire.encode_answer(_cut(found), time_ms)


@answering
def query_range(call: Call) -> bytes:
    """PromQL at every step of a time range."""
    start, end = _moment("start"), _moment("end")
    step = wire.step_ms(_text("step"), "step")
    wire.check_range(start, end, step)
    source, deadline = _source(call)
    lookback_ms = _lookback()
    with _parameter("query"):
        found = engine.ranged(source, _text("query"), start, end, step, deadline=deadline, lookback_ms=lookback_ms)
    return wire.encode_answer(_cut(found), end)


@answering
def series(call: Call) -> bytes:
    """The label sets of the series that match any of the selectors."""
    selectors = _selectors()
    if not selectors:
        raise PromqlError("no match[] parameter provided", "bad_data")
    source, _ = _source(call)
    found = [labels for matchers in selectors for labels in source.series(matchers, *_range())]
    return _listed({tuple(sorted(labels.items())): labels for labels in found}.values())


@answering
def label_names(call: Call) -> bytes:
    """Names of labels."""
    source, _ = _source(call)
    return _listed(
        sorted({name for matchers in _selectors() or [()] for name in source.label_names(matchers, *_range())})
    )


@answering
def label_values(call: Call, name: str) -> bytes:
    """Values of a label."""
    source, _ = _source(call)
    found = {value for matchers in _selectors() or [()] for value in source.label_values(name, matchers, *_range())}
    return _listed(sorted(found))


@answering
def metadata(call: Call) -> bytes:
    """Type, help and unit of every metric."""
    source, _ = _source(call)
    found, wanted = source.metadata(), request.values.get("metric")
    names = [name for name in sorted(found) if wanted in (None, "", name)][: _limit() or None]
    members = ("type", "help", "unit")
    return wire.encode({name: [dict(zip(members, found[name], strict=True))] for name in names})


@answering
def buildinfo(call: Call) -> bytes:
    """Which Prometheus' API this speaks."""
    about = {
        "version": _SPEAKS,
        "revision": "monitoring",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
    }
    return wire.encode({**about, "goVersion": ""})


# ---------------------------------------------------------------------- what is asked


def _source(call: Call) -> tuple[Source, Deadline]:
    """The metrics, and when the answer is due."""
    most = call.runtime.settings.number("query_timeout")
    text = request.values.get("timeout")
    wanted = wire.step_ms(text, "timeout") / 1000 if text else most
    deadline = Deadline(min(most, wanted))
    return MetricSource(call.runtime.metrics, deadline=deadline), deadline


@contextmanager
def _parameter(name: str) -> Iterator[None]:
    """What is no PromQL is the parameter's fault, and said to be. Raises PromqlError."""
    try:
        yield
    except PromqlError as error:
        if error.kind != "bad_data":
            raise
        raise PromqlError(f'invalid parameter "{name}": {error}', error.kind) from None


def _text(name: str) -> str:
    return request.values.get(name, "")


def _moment(name: str, default: int | None = None) -> int:
    """A time, milliseconds since 1970. Raises PromqlError."""
    text = request.values.get(name)
    if not text and default is not None:
        return default
    return wire.moment_ms(text or "", name)


def _range() -> tuple[int, int]:
    """Where to look for series, milliseconds; everywhere where nothing is said."""
    start, end = _moment("start", 0), _moment("end", _LATEST_MS)
    if end < start:
        raise PromqlError('invalid parameter "end": end timestamp must not be before start time', "bad_data")
    return start, end


def _lookback() -> int:
    text = request.values.get("lookback_delta")
    found = wire.step_ms(text, "lookback_delta") if text else engine.DEFAULT_LOOKBACK_MS
    if found <= 0:
        raise PromqlError('invalid parameter "lookback_delta": a positive duration is needed', "bad_data")
    return found


def _selectors() -> list[Sequence[Matcher]]:
    with _parameter("match[]"):
        return [selector(text) for text in request.values.getlist("match[]")]


def _limit() -> int:
    """How many entries at most; 0: all."""
    text = request.values.get("limit", "0")
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise PromqlError(f'invalid parameter "limit": cannot parse "{text}" to a number of at least 0', "bad_data")
    return int(text)


# ---------------------------------------------------------------------- what is answered


def _cut(found: engine.Answer) -> engine.Answer:
    """The answer with no more series than were asked for."""
    limit = _limit()
    if not isinstance(found.value, list) or not 0 < limit < len(found.value):
        return found
    warnings = [*found.warnings, "results truncated due to limit"]
    return replace(found, value=found.value[:limit], warnings=warnings)


def _listed(found: Any) -> bytes:
    entries, limit = list(found), _limit()
    cut = 0 < limit < len(entries)
    return wire.encode(entries[:limit] if cut else entries, ["results truncated due to limit"] if cut else ())


def _respond(body: bytes, status: int) -> Response:
    return Response(body, status=status, mimetype="application/json")


QUERY = Text("query", "in PromQL", required=True)
TIME = Text("time", "RFC 3339 or seconds since 1970; absent: now", longest=64)
START = Text("start", "RFC 3339 or seconds since 1970, included", longest=64)
END = Text("end", "RFC 3339 or seconds since 1970, included", longest=64)
STEP = Text("step", "a duration like 15s, or seconds", required=True, longest=64)
TIMEOUT = Text("timeout", "a duration; at most MONITORING_QUERY_TIMEOUT", longest=64)
LOOKBACK = Text("lookback_delta", "how old a sample may be to count, like 5m", longest=64)
MATCH = Repeated("match[]", 'a selector like up{job="shop"}')
METRIC = Text("metric", "only this one")
LIMIT = Whole("limit", "entries; 0: all", default=0, least=0, most=999_999_999)

_INSTANT = (QUERY, TIME, TIMEOUT, LOOKBACK, LIMIT)
_RANGED = (
    QUERY,
    Text("start", START.help, required=True, longest=64),
    Text("end", END.help, required=True, longest=64),
    STEP,
    TIMEOUT,
    LOOKBACK,
    LIMIT,
)
_SELECTION = (MATCH, START, END, LIMIT)


def _both(path: str, endpoint: Callable[..., Answer], params: tuple[Member[Any], ...]) -> tuple[Route, Route]:
    """By GET with its parameters in the address, and by POST with a form."""
    return (
        Route("GET", path, "viewer", endpoint, params, free=True),
        Route("POST", path, "viewer", endpoint, free=True, audit=ASKING, body=Form(params)),
    )


ROUTES = (
    *_both("/prometheus/api/v1/query", query, _INSTANT),
    *_both("/prometheus/api/v1/query_range", query_range, _RANGED),
    *_both("/prometheus/api/v1/series", series, _SELECTION),
    *_both("/prometheus/api/v1/labels", label_names, _SELECTION),
    Route("GET", "/prometheus/api/v1/label/<name>/values", "viewer", label_values, _SELECTION, free=True),
    Route("GET", "/prometheus/api/v1/metadata", "viewer", metadata, (METRIC, LIMIT), free=True),
    Route("GET", "/prometheus/api/v1/status/buildinfo", "viewer", buildinfo, free=True),
)
