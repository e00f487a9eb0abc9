"""Other people's clients against the endpoints that speak their protocols (`make test-compat`)."""

from __future__ import annotations

import base64
import gzip
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import cramjam
import pytest
import requests
from werkzeug.serving import make_server

from monitoring.pipeline.ingest.loki import push_request
from tests.instance import Instance

pytestmark = pytest.mark.compat
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Served(Instance):
    """An instance that listens on a free port."""

    address = ""


@pytest.fixture
def served(tmp_path: Path, valkey: str) -> Iterator[Served]:
    made = Served(tmp_path / "data", valkey)
    server = make_server("127.0.0.1", 0, made.app, threaded=True)
    made.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()
    made.close()


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
def test_opentelemetrys_python_exporters_deliver_logs_and_spans(served: Served, compression: str) -> None:
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    headers = {"Authorization": f"Bearer {served.keys['ingest']}"}
    how = {"headers": headers, "compression": Compression(compression)}
    resource = Resource.create({"service.name": "shop", "deployment.environment.name": "staging"})
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{served.address}/v1/traces", **how)))
    provider = LoggerProvider(resource=resource)
    provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(f"{served.address}/v1/logs", **how)))
    log = provider.get_logger("shop.cart")
    with tracers.get_tracer("flask").start_as_current_span("GET /cart") as span:
        for number in range(100):
            log.emit(
                LogRecord(
                    severity_number=SeverityNumber.ERROR, body=f"failed {number}", attributes={"n": number, "a": [1, 2]}
                )
            )
        span.add_event("cache miss")
    provider.shutdown()
    tracers.shutdown()
    with served.draining():
        found = served.messages(102, "service:shop")
        assert sorted(found) == sorted([*(f"failed {number}" for number in range(100)), "GET /cart", "cache miss"])
        events = served.get("/api/v1/logs", query_string={"query": "logger:shop.cart n:42"})["events"]
    (one,) = events
    assert (one["level"], one["attributes"]["a"], one["span_id"]) == (
        "ERROR",
        [1, 2],
        format(span.get_span_context().span_id, "016x"),
    )


def test_a_python_handler_for_loki_delivers(served: Served) -> None:
    from loki_logger_handler.loki_logger_handler import LokiLoggerHandler

    handler = LokiLoggerHandler(
        url=f"{served.address}/loki/api/v1/push",
        labels={"app": "shop", "environment": "staging"},
        auth=("monitoring", served.keys["ingest"]),
        timeout=1,
        enable_structured_loki_metadata=True,
        loki_metadata={"trace_id": TRACE},
    )
    log = logging.getLogger("tests.compat.loki")
    log.propagate = False
    log.addHandler(handler)
    try:
        for number in range(20):
            log.error("failed %d", number, extra={"n": number})
        with served.draining():
            found = served.messages(20, f"service:shop level:error trace_id:{TRACE}")
    finally:
        log.removeHandler(handler)
    assert sorted(found) == sorted(f"failed {number}" for number in range(20))


@pytest.mark.parametrize("page", ["otlp.md", "loki.md"])
def test_the_python_that_a_page_shows_works_as_it_stands(served: Served, page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / page).read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    key = served.keys["ingest"]
    code = f"key = {key!r}\n" + code.replace("http://127.0.0.1:8321", served.address)
    environment = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": served.address,
        "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{key}",
    }
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60, capture_output=True)
    with served.draining():
        assert served.messages(1, "service:shop level:error") == ["payment failed"]


def test_what_promtail_sends_is_taken(served: Served) -> None:
    request = push_request()()
    request.streams.add(labels='{job="varlogs"}').entries.add(line="from promtail").timestamp.seconds = 1764000000
    pair = base64.b64encode(f"x:{served.keys['ingest']}".encode()).decode()
    answer = requests.post(
        f"{served.address}/loki/api/v1/push",
        data=bytes(cramjam.snappy.compress_raw(request.SerializeToString())),
        headers={
            "Content-Type": "application/x-protobuf",
            "User-Agent": "promtail/3.0.0",
            "X-Scope-OrgID": "tenant",
            "Authorization": f"Basic {pair}",
        },
        timeout=30,
    )
    assert answer.status_code == 204, answer.text
    with served.draining():
        assert served.messages(1) == ["from promtail"]


def test_curl_sends_files_with_and_without_compression(served: Served, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    plain, packed = tmp_path / "app.log", tmp_path / "app.log.gz"
    plain.write_bytes(b"2026-11-24 12:00:00,123 INFO app.web: started\n")
    packed.write_bytes(gzip.compress(b"2026-11-24 12:00:01,123 INFO app.web: stopped\n"))
    for file, more in ((plain, []), (packed, ["-H", "Content-Encoding: gzip"])):
        subprocess.run(
            ["curl", "-sS", "--fail-with-body", "-H", f"Authorization: Bearer {served.keys['ingest']}", *more,
             "--data-binary", f"@{file}", f"{served.address}/api/v1/ingest/raw?service=shop"],
            check=True, timeout=30, capture_output=True,
        )  # fmt: skip
    with served.draining():
        assert served.messages(2, "service:shop") == ["started", "stopped"]


_SCRIPT = """
const { LoggerProvider, BatchLogRecordProcessor } = require("@opentelemetry/sdk-logs");
const { resourceFromAttributes } = require("@opentelemetry/resources");
(async () => {
  for (const kind of ["http", "proto"]) {
    const { OTLPLogExporter } = require(`@opentelemetry/exporter-logs-otlp-${kind}`);
    const exporter = new OTLPLogExporter({
      url: process.argv[2] + "/v1/logs", headers: { Authorization: "Bearer " + process.argv[3] }, compression: "gzip",
    });
    const provider = new LoggerProvider({
      resource: resourceFromAttributes({ "service.name": "node-" + kind }),
      processors: [new BatchLogRecordProcessor({ exporter })],
    });
    const log = provider.getLogger("cart");
    for (let n = 0; n < 10; n++)
      log.emit({ severityNumber: 17, body: "failed " + n, attributes: { n, nested: { a: [1, true, 1.5] } } });
    await provider.forceFlush();
    await provider.shutdown();
  }
})();
"""
_PACKAGES = ("sdk-logs", "resources", "exporter-logs-otlp-http", "exporter-logs-otlp-proto")


def test_opentelemetrys_javascript_exporters_deliver_json_and_protobuf(served: Served, tmp_path: Path) -> None:
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    install = [
        "npm",
        "install",
        "--no-audit",
        "--no-fund",
        "--silent",
        *(f"@opentelemetry/{name}" for name in _PACKAGES),
    ]
    if subprocess.run(install, cwd=tmp_path, capture_output=True, timeout=110, check=False).returncode:
        pytest.skip("the packages cannot be installed here")
    (tmp_path / "send.js").write_text(_SCRIPT)
    done = subprocess.run(
        ["node", "send.js", served.address, served.keys["ingest"]],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with served.draining():
        for kind in ("http", "proto"):
            found = served.messages(10, f"service:node-{kind} level:error")
            assert sorted(found) == sorted(f"failed {number}" for number in range(10))
        (one,) = served.get("/api/v1/logs", query_string={"query": "service:node-http n:7"})["events"]
    assert one["attributes"]["nested"] == {"a": [1, True, 1.5]}
