"""ClickHouse over HTTP for tests: the real engine (chdb) in a process of its own, behind its usual protocol.

    python -m tests.clickhouse_server DIRECTORY      prints its port, serves until its stdin is closed

So the product's own HTTP client is tested, several processes share one engine, and it can be stopped and killed. A file
`delay` in the directory holds back every insert by that many seconds, after it was taken in.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

_TRANSPORT = {"query", "database", "session_id", "query_id", "compress", "decompress", "wait_end_of_query", "role",
              "client_protocol_version", "send_progress_in_http_headers", "http_headers_progress_interval_ms",
              "enable_http_compression", "buffer_size", "cancel_http_readonly_queries_on_client_close"}  # fmt: skip
_FORMAT = re.compile(r"\sFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)


class Engine:
    """The engine of a directory, as a WSGI application."""

    def __init__(self, directory: Path) -> None:
        import chdb

        self._path, self._chdb = str(directory / "engine"), chdb
        self._delay = directory / "delay"
        self._kept = chdb.connect(self._path)
        self._lock = threading.Lock()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        if request.method == "GET":
            return Response("Ok.\n")(environ, start_response)
        values = {**request.args, **request.form}
        values |= {name: sent.read().decode() for name, sent in request.files.items()}
        body = b"" if request.form or request.files else request.get_data()
        if request.headers.get("Content-Encoding") == "gzip":
            import gzip

            body = gzip.decompress(body)
        try:
            answer = Response(self._answer(values, body), content_type="application/octet-stream")
        except Exception as error:  # as the server says it
            code = re.search(r"Code: (\d+)", str(error))
            answer = Response(f"{error}\n", status=500)
            answer.headers["X-ClickHouse-Exception-Code"] = code[1] if code else "1002"
        answer.headers["X-ClickHouse-Timezone"] = "UTC"
        return answer(environ, start_response)

    def _answer(self, values: dict[str, str], body: bytes) -> bytes:
        bound = {name.removeprefix("param_"): value for name, value in values.items() if name.startswith("param_")}
        settings = {name: value for name, value in values.items() if name not in _TRANSPORT and name[:6] != "param_"}
        text = values.get("query") or body.decode()
        inserts = "query" in values and body and text.lstrip()[:6].upper() == "INSERT"
        with (
            self._held_back() if inserts else contextlib.nullcontext(),
            self._lock,
            contextlib.closing(self._chdb.connect(self._path)) as handle,
        ):
            if settings:
                quoted = {name: value.replace("\\", "\\\\").replace("'", "\\'") for name, value in settings.items()}
                handle.query("SET " + ", ".join(f"{name} = '{value}'" for name, value in quoted.items()))
            if values.get("database"):
                handle.query(f"USE `{values['database']}`")
            if not inserts:
                form = _FORMAT.search(text)
                found = handle.query(text, form[1] if form else "TabSeparated", params=bound or None)
                return bytes(found.bytes() or b"")
            with tempfile.NamedTemporaryFile() as file:
                file.write(body)
                file.flush()
                form = _FORMAT.search(text)
                assert form is not None
                handle.query(f"{text[: form.start()]} FROM INFILE '{file.name}' FORMAT {form[1]}")
            return b""

    @contextlib.contextmanager
    def _held_back(self) -> Iterator[None]:
        """Wait as `delay` says; until what follows is done, a file `delayed-…` is there."""
        try:
            seconds = float(self._delay.read_text())
        except FileNotFoundError:
            yield
            return
        with tempfile.NamedTemporaryFile(prefix="delayed-", dir=self._delay.parent):
            time.sleep(seconds)
            yield


class Served:
    """A server that runs: its process and its port."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._count = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.clickhouse_server", str(directory)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def url(self, database: str = "default") -> str:
        """What `MONITORING_STORE` is for this server."""
        return f"clickhouse://default:@127.0.0.1:{self.port}/{database}"

    def fresh(self) -> str:
        """The URL of a database that nobody has used."""
        from monitoring.pipeline.store.clickhouse.client import Address, Client

        self._count += 1
        name = f"test_{os.getpid()}_{self._count}"
        with contextlib.closing(Client(Address(self.url()))) as client:
            client.command(f"CREATE DATABASE {name}")
        return self.url(name)

    @contextlib.contextmanager
    def holding_back(self, seconds: float) -> Iterator[None]:
        """Every insert that comes within the block waits so long before it is done."""
        delay = self.directory / "delay"
        delay.write_text(str(seconds))
        try:
            yield
        finally:
            delay.unlink()

    def held_back(self) -> int:
        """How many inserts came and wait."""
        return len(list(self.directory.glob("delayed-*")))

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def served(directory: Path) -> Iterator[Served]:
    """A server for the length of a block."""
    server = Served(directory)
    try:
        yield server
    finally:
        server.close()


def main() -> None:
    """Serve until stdin ends."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, Engine(Path(sys.argv[1])), threaded=True)
    print(server.port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    os._exit(0)  # the engine's own threads end with it


if __name__ == "__main__":
    main()
