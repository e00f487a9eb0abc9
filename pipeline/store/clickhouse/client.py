"""The way to ClickHouse: one address, its errors as ours, time limits on everything.

    clickhouse://user:password@host:8123/database        over HTTP
    clickhouses://user:password@host:8443/database       over HTTPS
    chdb:///absolute/path                                the engine within this process, for tests: one process a path

The library is imported when the first statement is sent: it brings numpy-free code, but half a second.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from monitoring.pipeline.errors import PermanentError, SettingsError, StoreUnreachable
from monitoring.pipeline.query.limits import Deadline

__all__ = ["Address", "Client", "OutOfTime"]

CONNECT_SECONDS = 3
"""A host that is there answers in milliseconds."""
SEND_SECONDS = 6
"""Longest wait for a step of an insert: less than a lease, so that who waits still holds it (`lease.LEASE_SECONDS`).
An insert that takes longer goes on there, and is found stored when it is sent again."""
INSERT_SECONDS = 60
"""Longest that the server may work on an insert whose sender is gone."""
MOST_MEMORY = 4 << 30
"""Bytes that a query may take there; beyond, it is refused, and the server serves the others."""
_TIMEOUT, _REGEXP = "TIMEOUT_EXCEEDED", "CANNOT_COMPILE_REGEXP"
_ANSWERED = ("connect_timeout", "send_receive_timeout")


class OutOfTime(Exception):
    """The query took longer than it may."""


class Address:
    """Where a store lies. Raises SettingsError for what is no such URL."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("clickhouse", "clickhouses", "chdb"):
            raise SettingsError(
                "MONITORING_STORE is sqlite, or a URL like clickhouse://user:password@host:8123/database"
            )
        self._parts: SplitResult = parts
        self.in_process = parts.scheme == "chdb"
        self.database = "default" if self.in_process else parts.path.strip("/") or "default"
        try:
            self.port = parts.port or (8443 if parts.scheme == "clickhouses" else 8123)
        except ValueError as error:
            raise SettingsError(f"MONITORING_STORE: {error}") from error
        if not self.in_process and not parts.hostname:
            raise SettingsError("MONITORING_STORE names no host")

    def __str__(self) -> str:
        """Without the password."""
        if self.in_process:
            return f"chdb://{self._parts.path}"
        return f"{self._parts.scheme}://{self._parts.hostname}:{self.port}/{self.database}"

    def connect(self) -> Any:
        """A client of the library. Raises what that raises."""
        try:
            import clickhouse_connect
            from clickhouse_connect import common
        except ImportError as error:
            raise SettingsError(
                "MONITORING_STORE names ClickHouse, whose client is not installed: "
                "pip install 'monitoring-pipeline[clickhouse]'"
            ) from error
        common.set_setting("autogenerate_session_id", False)  # sessions would run one query at a time
        common.set_setting("invalid_setting_action", "send")
        if self.in_process:
            return clickhouse_connect.get_client(interface="chdb", path=self._parts.path)
        return clickhouse_connect.get_client(
            host=self._parts.hostname,
            port=self.port,
            username=unquote(self._parts.username or "default"),
            password=unquote(self._parts.password or ""),
            database=self.database,
            interface="https" if self._parts.scheme == "clickhouses" else "http",
            connect_timeout=CONNECT_SECONDS,
            send_receive_timeout=SEND_SECONDS,
            query_retries=0,
            form_encode_query_params=True,
            compress=False,
        )


class Client:
    """Statements to one store. Connected when first needed; not for several threads."""

    def __init__(self, address: Address) -> None:
        self.address = address

    @cached_property
    def _client(self) -> Any:
        return self.address.connect()

    def command(self, text: str, *, settings: Mapping[str, Any] | None = None) -> None:
        """A statement without an answer. Raises StoreUnreachable."""
        self._guarded(lambda: self._client.command(text, settings=dict(settings or {})))

    def rows(
        self, text: str, values: Mapping[str, Any] | None = None, *, deadline: Deadline | None = None,
        overflow: Literal["throw", "break"] = "throw",
    ) -> Sequence[tuple[Any, ...]]:  # fmt: skip
        """The rows of an answer. `values` are bound by the server, to `{name:Type}`.

        Raises OutOfTime at the deadline; with `overflow` "break" the answer is then what was found so far. Raises
        StoreUnreachable.
        """
        settings: dict[str, Any] = {"max_memory_usage": MOST_MEMORY}
        if deadline is not None:
            left = deadline.remaining()
            if left <= 0:
                raise OutOfTime("the time is up")
            settings |= {"max_execution_time": left, "timeout_overflow_mode": overflow}
        found: Sequence[tuple[Any, ...]] = self._guarded(
            lambda: self._client.query(text, parameters=dict(values or {}), settings=settings).result_rows
        )
        return found

    def insert(self, table: str, columns: Sequence[str], body: bytes, *, token: str) -> None:
        """Store the columns of a body (gzip, JSONCompactColumns), whole or not at all, once for each token.

        Raises StoreUnreachable: it may be stored all the same then.
        """
        settings = {
            "insert_deduplication_token": token,
            "insert_deduplicate": 1,
            "async_insert": 0,
            "wait_end_of_query": 1,
            "max_execution_time": INSERT_SECONDS,
            # one insert is one block, and so one part: stored whole, and told by one token
            "max_insert_block_size": 1 << 24,
            "min_insert_block_size_rows": 1 << 24,
            "min_insert_block_size_bytes": 1 << 32,
            "input_format_parallel_parsing": 0,
            "distributed_foreground_insert": 1,
        }
        data = gzip.decompress(body) if self.address.in_process else body
        compression = None if self.address.in_process else "gzip"
        self._guarded(
            lambda: self._client.raw_insert(
                table, list(columns), data, settings=settings, fmt="JSONCompactColumns", compression=compression
            )
        )

    def close(self) -> None:
        """Close what is open."""
        if "_client" in self.__dict__:
            self._client.close()
            del self.__dict__["_client"]

    def _guarded(self, ask: Any) -> Any:
        """Run this with the library's errors as ours."""
        try:
            return ask()
        except (SettingsError, OutOfTime):
            raise
        except Exception as error:  # of the library, urllib3 or the engine: known ones are told apart, others go on
            from clickhouse_connect.driver.exceptions import ClickHouseError

            text = str(error)
            if _TIMEOUT in text:
                raise OutOfTime("the time is up") from error
            if _REGEXP in text:
                raise PermanentError(
                    f"the store cannot compile this regular expression: {_first_line(text)}"
                ) from error
            if isinstance(error, ClickHouseError | OSError):
                raise StoreUnreachable(f"{self.address}: {_first_line(text)}: ingest goes on by itself") from error
            raise


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:300]
