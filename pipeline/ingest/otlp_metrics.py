"""Metrics of OTLP: an ExportMetricsServiceRequest, in protobuf or JSON, read as deltas.

    resource  service.name, deployment.environment(.name), service.version, host.name -> the origin; the rest is dropped
    scope     dropped
    metric    name and unit by Prometheus' rules (naming.py); description -> help
    point     attributes -> labels; exemplars, least and greatest value are dropped

| OTLP                                                | becomes                                                        |
|-----------------------------------------------------|----------------------------------------------------------------|
| sum that only rises, cumulative or delta            | counter; the drain makes increments of cumulative ones         |
| sum that may fall, cumulative                       | gauge; as a delta it is refused                                |
| gauge                                               | gauge                                                          |
| histogram, cumulative or delta                      | histogram with its bounds                                      |
| exponential histogram, cumulative or delta          | histogram with fixed bounds (exponential.py)                   |
| summary                                             | samples: `x{quantile}`, `x_sum`, `x_count`                     |

What counters and histograms of several processes count adds up, so nothing in their labels tells processes apart; a
cumulative one is followed by its whole resource, scope and start (`stream`). What gauges and summaries say does not add
up: there the label `instance` is the resource's service.instance.id, or its pod or container.
Source: the .proto files of opentelemetry-proto 1.x, and the specification's data model.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from monitoring.pipeline.events.delta import Delta, family_text
from monitoring.pipeline.events.event import Rejected
from monitoring.pipeline.events.lenient import Defaults, NotAnEvent, rejected
from monitoring.pipeline.events.signals import LATEST_NS
from monitoring.pipeline.ingest.documents import Unreadable, load
from monitoring.pipeline.ingest.exponential import BOUNDS, fixed_counts
from monitoring.pipeline.ingest.intake import Intake, TooMuch
from monitoring.pipeline.ingest.naming import label_names, metric_name
from monitoring.pipeline.ingest.otlp import origin_of, proto_attributes
from monitoring.pipeline.store.deltas import DeltaInvalid, merged, read_family, read_labels

__all__ = ["read_json", "read_proto"]

_DELTA, _CUMULATIVE = 1, 2
_NOT_RECORDED = 1
_INSTANCE = ("service.instance.id", "k8s.pod.name", "container.id")
_INT64 = 1 << 63
_EXACT = float(1 << 53)


def read_proto(body: bytes, defaults: Defaults, source: str, most: int) -> Intake:
    """The deltas of a request in protobuf. Raises Unreadable, TooMuch beyond so many points."""
    from google.protobuf.message import DecodeError  # 30 ms that other commands need not pay
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    try:
        request = ExportMetricsServiceRequest.FromString(body)
    except DecodeError as error:
        raise Unreadable(f"the body is not an ExportMetricsServiceRequest: {error}") from None
    return _read(request, defaults, source, most)


def read_json(body: bytes, defaults: Defaults, source: str, most: int) -> Intake:
    """The deltas of a request in JSON. Raises as `read_proto`."""
    from google.protobuf.json_format import ParseDict, ParseError
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    request = ExportMetricsServiceRequest()
    try:
        # Ids of exemplars are hexadecimal here and base64 there; exemplars are dropped anyway.
        ParseDict(_without_exemplars(load(body)), request, ignore_unknown_fields=True)
    except (ParseError, RecursionError) as error:
        raise Unreadable(f"the body is not an ExportMetricsServiceRequest: {str(error)[:200]}") from None
    return _read(request, defaults, source, most)


def _without_exemplars(value: Any) -> Any:
    if type(value) is dict:
        return {name: _without_exemplars(inner) for name, inner in value.items() if name != "exemplars"}
    return [_without_exemplars(inner) for inner in value] if type(value) is list else value


class _Context(NamedTuple):
    """What the points of a metric share."""

    metric: Any
    origin: tuple[str, str, str, str]
    instance: str
    stream: str
    defaults: Defaults


def _read(request: Any, defaults: Defaults, source: str, most: int) -> Intake:
    """Each point by itself: one that makes no sense spoils no other."""
    deltas: list[Delta] = []
    refused: list[Rejected] = []
    number = 0
    for context in _contexts(request, defaults):
        data = context.metric.WhichOneof("data")
        if data is None:
            continue
        whole = getattr(context.metric, data)
        for point in whole.data_points:
            number += 1
            if number > most:
                raise TooMuch(f"more than {most} points")
            if point.flags & _NOT_RECORDED:
                continue  # a gap: what was counted before and after it says all
            try:
                deltas += _READERS[data](context, whole, point)
            except (NotAnEvent, DeltaInvalid, ValueError, TypeError) as error:
                refused.append(rejected(str(error)[:200], _raw(context, point), source, number))
    return Intake(deltas, refused)


def _contexts(request: Any, defaults: Defaults) -> Iterator[_Context]:
    for resource in request.resource_metrics:
        try:
            attributes = proto_attributes(resource.resource.attributes)
        except NotAnEvent as error:
            raise Unreadable(f"a resource is {error.reason}") from None
        told = origin_of(attributes)
        origin = (
            defaults.service or told.service or defaults.fallback_service,
            told.environment or defaults.environment,
            told.release or defaults.release,
            told.host or defaults.host,
        )
        instance = next((str(attributes[name]) for name in _INSTANCE if attributes.get(name)), "")
        same = orjson.dumps(attributes, option=orjson.OPT_SORT_KEYS)
        for scope in resource.scope_metrics:
            library = (scope.scope.name, scope.scope.version)
            for metric in scope.metrics:
                named = orjson.dumps((*library, metric.name, metric.unit))
                stream = hashlib.blake2b(same + named, digest_size=8).hexdigest()
                yield _Context(metric, origin, instance, stream, defaults)


def _raw(context: _Context, point: Any) -> bytes:
    from google.protobuf.json_format import MessageToDict

    return orjson.dumps({"metric": context.metric.name, "point": MessageToDict(point)})


# --- one point -------------------------------------------------------------------------------------------


def _sum(context: _Context, whole: Any, point: Any) -> list[Delta]:
    temporality, value = _temporality(whole), _number(point)
    if not whole.is_monotonic:
        if temporality == _DELTA:
            raise NotAnEvent("a sum that may fall cannot be put together from its changes: export it as cumulative")
        return [_delta(context, point, "gauge", value)]
    if value < 0:
        raise NotAnEvent(f"a sum that only rises cannot be {value}")
    return [_counted(context, point, "counter", temporality, {"value": value})]


def _gauge(context: _Context, whole: Any, point: Any) -> list[Delta]:
    return [_delta(context, point, "gauge", _number(point))]


def _histogram(context: _Context, whole: Any, point: Any) -> list[Delta]:
    counts, bounds = list(point.bucket_counts), tuple(point.explicit_bounds)
    if not counts and not bounds:
        counts = [point.count]
    if len(counts) != len(bounds) + 1:
        raise NotAnEvent(f"{len(bounds)} bounds do not go with {len(counts)} counts")
    if bounds and bounds[-1] == math.inf:
        bounds, counts = bounds[:-1], [*counts[:-2], counts[-2] + counts[-1]]
    return [_observed(context, whole, point, counts, bounds)]


def _exponential(context: _Context, whole: Any, point: Any) -> list[Delta]:
    buckets = point.positive
    low = point.zero_count + sum(point.negative.bucket_counts)
    counts = fixed_counts(point.scale, buckets.offset, buckets.bucket_counts, low)
    return [_observed(context, whole, point, counts, BOUNDS)]


def _observed(context: _Context, whole: Any, point: Any, counts: list[int], bounds: tuple[float, ...]) -> Delta:
    if max(counts) > _EXACT:
        raise NotAnEvent(f"{max(counts)} is no count")
    total = _storable(point.sum) if point.HasField("sum") else 0
    value = {"sum": total, "counts": counts}
    return _counted(context, point, "histogram", _temporality(whole), value, bounds)


def _summary(context: _Context, whole: Any, point: Any) -> list[Delta]:
    """Samples, which need no increments: a quantile has none."""
    base = {**_labels(context, point), **({"instance": context.instance} if context.instance else {})}
    named = metric_name(context.metric.name, context.metric.unit, "summary")
    if not named:
        raise NotAnEvent(f"{context.metric.name[:60]!r} cannot name a metric")
    at = _time(context, point)
    found = [
        _sample(context, at, named, {**base, "quantile": f"{part.quantile:g}"}, part.value)
        for part in point.quantile_values
    ]
    found.append(_sample(context, at, f"{named}_sum", base, point.sum))
    found.append(_sample(context, at, f"{named}_count", base, float(point.count)))
    return found


_READERS: dict[str, Callable[[_Context, Any, Any], list[Delta]]] = {
    "sum": _sum,
    "gauge": _gauge,
    "histogram": _histogram,
    "exponential_histogram": _exponential,
    "summary": _summary,
}


def _sample(context: _Context, at: int, name: str, labels: dict[str, str], value: float) -> Delta:
    metric = context.metric
    family = _family(name, "sample", "", metric.description, (), cumulative=False, of="summary")
    all_of_them = merged(labels, context.origin)
    said = "NaN" if math.isnan(value) else value if math.isfinite(value) else "+Inf" if value > 0 else "-Inf"
    return Delta(at, 0, "", family=family, labels=_text(all_of_them), value=orjson.dumps(said).decode())


def _counted(
    context: _Context,
    point: Any,
    kind: str,
    temporality: int,
    value: dict[str, Any],
    bounds: tuple[float, ...] = (),
) -> Delta:
    """A counter or histogram: since its start where it is cumulative, else since the point before."""
    start = point.start_time_unix_nano
    if temporality == _CUMULATIVE:
        known = {"start": start if start < _INT64 else 0, "stream": context.stream}
        return _delta(context, point, kind, {**known, **value}, bounds, cumulative=True)
    window = max(0, point.time_unix_nano - start) if start else 0
    return _delta(context, point, kind, value.get("value", value), bounds, window=window)


def _delta(
    context: _Context,
    point: Any,
    kind: str,
    value: Any,
    bounds: tuple[float, ...] = (),
    *,
    cumulative: bool = False,
    window: int = 0,
) -> Delta:
    metric, labels = context.metric, _labels(context, point)
    if kind == "gauge" and context.instance:
        labels.setdefault("instance", context.instance)
    if kind == "histogram" and "le" in labels:
        raise NotAnEvent("le cannot name an attribute of a histogram: its buckets have it")
    name = metric_name(metric.name, metric.unit, kind)
    service, environment, release, host = context.origin
    return Delta(
        timestamp=_time(context, point),
        window=min(window, LATEST_NS),
        service=service,
        environment=environment,
        release=release,
        host=host,
        family=_family(name, kind, metric.unit, metric.description, bounds, cumulative=cumulative, of=""),
        labels=_text(labels),
        value=orjson.dumps(value).decode(),
    )


@lru_cache(maxsize=4096)
def _family(
    name: str, kind: Any, unit: str, prose: str, bounds: tuple[float, ...], *, cumulative: bool, of: str
) -> str:
    """The text of a family that the drain will understand. Raises DeltaInvalid."""
    text = family_text(name=name, kind=kind, unit=unit, help=prose, bounds=bounds, cumulative=cumulative, type=of)
    read_family(text)
    return text


def _labels(context: _Context, point: Any) -> dict[str, str]:
    pairs = proto_attributes(point.attributes)
    return label_names([(name, _text_of(value)) for name, value in pairs.items()]) if pairs else {}


def _text_of(value: Any) -> str:
    if type(value) is str:
        return value
    return "" if value is None else orjson.dumps(value).decode()


@lru_cache(maxsize=65_536)
def _checked(text: str) -> str:
    """Labels that the drain will understand, as JSON. Raises DeltaInvalid."""
    read_labels(text)
    return text


def _text(labels: dict[str, str]) -> str:
    kept = {name: value for name, value in labels.items() if value}
    return _checked(orjson.dumps(kept, option=orjson.OPT_SORT_KEYS).decode())


def _time(context: _Context, point: Any) -> int:
    latest = min(context.defaults.latest_ns, LATEST_NS)
    return min(point.time_unix_nano or context.defaults.received_ns, latest)


def _temporality(whole: Any) -> int:
    found = whole.aggregation_temporality
    if found not in (_DELTA, _CUMULATIVE):
        raise NotAnEvent("its aggregation temporality is neither delta nor cumulative")
    return int(found)


def _number(point: Any) -> int | float:
    kind = point.WhichOneof("value")
    if kind is None:
        raise NotAnEvent("the point has no value")
    return int(point.as_int) if kind == "as_int" else _storable(point.as_double)


def _storable(value: float) -> int | float:
    """Whole numbers as such: they add up exactly."""
    if not math.isfinite(value) or abs(value) > 1e300:
        raise NotAnEvent(f"{value} is no number that can be stored")
    return int(value) if abs(value) < _EXACT and value.is_integer() else value
