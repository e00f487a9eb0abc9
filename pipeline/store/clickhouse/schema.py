"""The tables on the server: made and brought up to date by whoever comes first.

    log          the events, one part of the table a day, in order of minute, service and time
    log_version  one row for each version of the schema that was reached

With `MONITORING_CLICKHOUSE_CLUSTER`, `log` is a Distributed table over `log_local`, which is a ReplicatedMergeTree on
each server of that cluster; a partition's rows stay on one shard, so that an insert's token is told to the servers that
know it.
"""

from __future__ import annotations

import re

from monitoring.pipeline.errors import SettingsError, StoreCorrupt
from monitoring.pipeline.store.clickhouse.client import Client

__all__ = ["WINDOW", "Schema"]

VERSION = 1
WINDOW = 10_000
"""Inserts whose tokens the server remembers: those of an hour at three a second, where a lost one is sent again within
seconds (see docs/decisions/clickhouse-ledger.md)."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}|")

_COLUMNS = r"""
  time Int64 CODEC(DoubleDelta, ZSTD(1)),
  level UInt8,
  service LowCardinality(String),
  environment LowCardinality(String),
  release LowCardinality(String),
  logger LowCardinality(String),
  host LowCardinality(String),
  message String CODEC(ZSTD(1)),
  trace_id String CODEC(ZSTD(1)),
  span_id String CODEC(ZSTD(1)),
  request_id String CODEC(ZSTD(1)),
  exception String CODEC(ZSTD(1)),
  attributes String CODEC(ZSTD(1)),
  lane LowCardinality(String),
  seq UInt64,
  ordinal UInt32,
  words String CODEC(ZSTD(1)),
  exception_texts Array(String) CODEC(ZSTD(1)),
  attribute_texts Array(String) CODEC(ZSTD(1)),
  plain Map(String, String) CODEC(ZSTD(1)),
  paths Array(LowCardinality(String)),
  kinds Array(UInt8),
  texts Array(String) CODEC(ZSTD(1)),
  numbers Array(Float64) CODEC(ZSTD(1)),
  partition UInt16,
  batch UInt64 CODEC(DoubleDelta, ZSTD(1)),
  place UInt32 CODEC(DoubleDelta, ZSTD(1)),
  received UInt32 CODEC(DoubleDelta, ZSTD(1)),
  minute Int32 MATERIALIZED intDiv(time, 60000000000) CODEC(DoubleDelta, ZSTD(1)),
  timestamp DateTime64(9, 'UTC') ALIAS fromUnixTimestamp64Nano(time, 'UTC'),
  INDEX words_index words TYPE text(tokenizer = splitByString([' ', '\n', '\x02'])),
  INDEX trace_index trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX request_index request_id TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX path_index paths TYPE bloom_filter(0.01) GRANULARITY 1
"""
_DAY_NS = 86_400_000_000_000
_LAYOUT = f"PARTITION BY intDiv(time, {_DAY_NS}) ORDER BY (minute, service, time)"


class Schema:
    """The tables of a store. `retention_seconds` is how long events are kept (0: for ever)."""

    def __init__(self, *, cluster: str = "", retention_seconds: float = 0) -> None:
        if not _NAME.fullmatch(cluster):
            raise SettingsError("MONITORING_CLICKHOUSE_CLUSTER is the name of a cluster: letters, digits, - _ .")
        self.cluster, self._retention_seconds = cluster, int(retention_seconds)
        self.local = "log_local" if cluster else "log"
        """The table that holds the rows, on each server."""

    @property
    def everywhere(self) -> str:
        """What makes a statement run on all servers."""
        return f" ON CLUSTER '{self.cluster}'" if self.cluster else ""

    @property
    def ttl(self) -> str:
        """When a row goes: by its own time or by when it was received, whichever is later; "" for never."""
        if not self._retention_seconds:
            return ""
        return f"toDateTime(greatest(intDiv(time, 1000000000), received)) + toIntervalSecond({self._retention_seconds})"

    def expiring(self, now_ns: int) -> int:
        """The newest day (since 1970) of which the TTL may have taken some events; -1 where there is none."""
        return (now_ns - self._retention_seconds * 10**9) // _DAY_NS if self._retention_seconds else -1

    def statements(self) -> list[str]:
        """What makes the tables where they are not there."""
        engine = "MergeTree"
        window = f"non_replicated_deduplication_window = {WINDOW}"
        if self.cluster:
            engine = "ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')"
            window = f"replicated_deduplication_window = {WINDOW}"
        ttl = f" TTL {self.ttl}" if self.ttl else ""
        made = [
            f"CREATE TABLE IF NOT EXISTS {self.local}{self.everywhere} ({_COLUMNS}) ENGINE = {engine} {_LAYOUT}{ttl}"
            f" SETTINGS {window}, ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1",
            f"CREATE TABLE IF NOT EXISTS log_version{self.everywhere} (version UInt32) ENGINE = "
            + (engine if self.cluster else "MergeTree") + " ORDER BY version",
        ]  # fmt: skip
        if self.cluster:
            made.append(
                f"CREATE TABLE IF NOT EXISTS log{self.everywhere} AS log_local"
                f" ENGINE = Distributed('{self.cluster}', currentDatabase(), 'log_local', partition)"
            )
        return made

    def ensure(self, client: Client) -> None:
        """Make what is not there. Raises StoreCorrupt for tables of a newer release, StoreUnreachable."""
        for statement in self.statements():
            client.command(statement)
        ((version,),) = client.rows("SELECT max(version) FROM log_version")
        if version > VERSION:
            raise StoreCorrupt(f"{client.address} has schema {version}, this release knows up to {VERSION}: upgrade it")
        if version < VERSION:
            client.command(f"INSERT INTO log_version VALUES ({VERSION})")  # noqa: S608 - a number
        self._set_ttl(client)

    def _set_ttl(self, client: Client) -> None:
        """Have the table's TTL as the setting is now."""
        ((made,),) = client.rows(
            "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = {name:String}",
            {"name": self.local},
        )
        if self.ttl and f"toIntervalSecond({self._retention_seconds})" not in made:
            client.command(f"ALTER TABLE {self.local}{self.everywhere} MODIFY TTL {self.ttl}")
        elif not self.ttl and " TTL " in made:
            client.command(f"ALTER TABLE {self.local}{self.everywhere} REMOVE TTL")
