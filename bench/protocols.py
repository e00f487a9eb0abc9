"""Events over HTTP: `python -m bench.protocols`. How many a second each protocol takes, and what that costs.

The product runs as users start it. Clients post bodies of 1,000 events, made beforehand, over a few connections; the
clock stops when all are answered (and fsynced), and again when all are searchable. CPU is that of the API's processes
alone, and of the whole product, an event. The machine is shared with clients, bus and drains.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import click
import cramjam
import orjson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from bench.events import make
from bench.machine import describe, usage
from bench.product import Product, running
from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.events import levels
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.ingest.loki import push_request

BODY_EVENTS = 1000
GIVE_UP_SECONDS = 60.0
"""After so long of 503 for one body something is broken, not full."""
Body = tuple[str, dict[str, str], bytes]


def ndjson(events: Sequence[Event]) -> Body:
    """POST /api/v1/logs."""
    lines = [
        orjson.dumps(
            {
                "timestamp": rfc3339(event.timestamp),
                "level": levels.name(event.level),
                "service": event.service,
                "logger": event.logger,
                "host": event.host,
                "message": event.message,
                "trace_id": event.trace_id,
                "span_id": event.span_id,
                **orjson.loads(event.attributes),
            }
        )
        for event in events
    ]
    return "/api/v1/logs", {"Content-Type": "application/x-ndjson"}, b"\n".join(lines)


def otlp(events: Sequence[Event]) -> Body:
    """POST /v1/logs, protobuf: one resource, as an exporter sends it."""
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    for name, value in (("service.name", events[0].service), ("host.name", events[0].host)):
        resource.resource.attributes.add(key=name).value.string_value = value
    scopes: dict[str, Any] = {}
    for event in events:
        scope = scopes.get(event.logger)
        if scope is None:
            scope = scopes[event.logger] = resource.scope_logs.add()
            scope.scope.name = event.logger
        record = scope.log_records.add(
            time_unix_nano=event.timestamp,
            observed_time_unix_nano=event.timestamp,
            severity_number=event.level,
            severity_text=levels.name(event.level),
            trace_id=bytes.fromhex(event.trace_id),
            span_id=bytes.fromhex(event.span_id),
        )
        record.body.string_value = event.message
        for key, value in orjson.loads(event.attributes).items():
            pair = record.attributes.add(key=key).value
            if isinstance(value, int):
                pair.int_value = value
            else:
                pair.string_value = value
    return "/v1/logs", {"Content-Type": "application/x-protobuf"}, bytes(request.SerializeToString())


def loki(events: Sequence[Event]) -> Body:
    """POST /loki/api/v1/push, snappy protobuf: one stream of JSON lines."""
    request = push_request()()
    stream = request.streams.add(labels=f'{{app="{events[0].service}", host="{events[0].host}"}}')
    for event in events:
        members = {"level": levels.name(event.level), "message": event.message, "trace_id": event.trace_id}
        entry = stream.entries.add(line=orjson.dumps({**members, **orjson.loads(event.attributes)}).decode())
        entry.timestamp.seconds, entry.timestamp.nanos = divmod(event.timestamp, 10**9)
    body = bytes(cramjam.snappy.compress_raw(request.SerializeToString()))
    return "/loki/api/v1/push", {"Content-Type": "application/x-protobuf"}, body


PROTOCOLS: dict[str, Callable[[Sequence[Event]], Body]] = {"ndjson": ndjson, "otlp": otlp, "loki": loki}


def measure(product: Product, build: Callable[[Sequence[Event]], Body], *, events: int, clients: int) -> dict[str, Any]:
    """Send so many events; rates a second, CPU microseconds an event."""
    chosen = list(make(events, seed=1))
    bodies = [build(chosen[first : first + BODY_EVENTS]) for first in range(0, events, BODY_EVENTS)]
    before = product.searchable()
    used = _cpu(product)
    began = time.perf_counter()
    _send(product, bodies, clients)
    answered = time.perf_counter() - began
    product.wait_for(before + events, timeout_seconds=300)
    stored = time.perf_counter() - began
    now = _cpu(product)
    return {
        "events": events,
        "body_bytes_per_event": round(sum(len(body) for _, _, body in bodies) / events),
        "answered_per_second": round(events / answered),
        "searchable_per_second": round(events / stored),
        "api_cpu_us_per_event": round((now["api"] - used["api"]) / events * 1e6, 1),
        "product_cpu_us_per_event": round((sum(now.values()) - sum(used.values())) / events * 1e6, 1),
    }


def _cpu(product: Product) -> dict[str, float]:
    """CPU seconds so far by kind of process."""
    return {name: used.cpu_seconds for name, used in usage(product.process.pid).items()}


def _send(product: Product, bodies: Sequence[Body], clients: int) -> None:
    key = (product.data / "admin.key").read_text().strip()
    waiting, lock = iter(bodies), threading.Lock()
    failures: list[str] = []

    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=60)
        while True:
            with lock:
                body = next(waiting, None)
            if body is None:
                connection.close()
                return
            path, headers, data = body
            ends = time.monotonic() + GIVE_UP_SECONDS
            while True:
                connection.request("POST", path, data, {"Authorization": f"Bearer {key}", **headers})
                answer = connection.getresponse()
                text = answer.read()
                if answer.status != 503 or time.monotonic() > ends:
                    break
                time.sleep(0.2)  # full: it says so and keeps nothing
            if answer.status >= 400:
                failures.append(f"{answer.status} {text.decode()}")

    threads = [threading.Thread(target=send) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError(f"{len(failures)} bodies were refused: {failures[0]}")


@click.command()
@click.option("--events", default=300_000, show_default=True, help="Events of each protocol.")
@click.option("--clients", default=4, show_default=True, help="Connections that send at once.")
@click.option("--only", type=click.Choice(list(PROTOCOLS)), multiple=True, help="These protocols.")
def main(events: int, clients: int, only: tuple[str, ...]) -> None:
    """Measure events over HTTP."""
    results: dict[str, Any] = {"machine": describe()}
    for name in only or PROTOCOLS:
        with running() as product:
            measure(product, PROTOCOLS[name], events=20_000, clients=clients)  # warm
            results[name] = measure(product, PROTOCOLS[name], events=events, clients=clients)
            click.echo(f"{name:8}" + "".join(f"  {key} {value}" for key, value in results[name].items()))
    click.echo(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
