"""The tables: what is made, of which version, kept for how long."""

from __future__ import annotations

import contextlib

import pytest

from monitoring.pipeline.errors import SettingsError, StoreCorrupt
from monitoring.pipeline.store.clickhouse.client import Address, Client
from monitoring.pipeline.store.clickhouse.schema import Schema


@pytest.fixture
def client(clickhouse):
    with contextlib.closing(Client(Address(clickhouse.fresh()))) as made:
        yield made


def table(client) -> str:
    ((text,),) = client.rows("SELECT create_table_query FROM system.tables WHERE name = 'log' AND database = currentDatabase()")  # fmt: skip # noqa: E501 - one statement
    return str(text)


def test_the_ttl_is_what_the_setting_says_and_changes_with_it(client) -> None:
    for seconds in (86_400, 3_600, 0, 7_200):
        Schema(retention_seconds=seconds).ensure(client)
        assert ("TTL" in table(client)) == bool(seconds)
        assert (f"toIntervalSecond({seconds})" in table(client)) == bool(seconds)


def test_tables_of_a_newer_release_are_not_touched(client) -> None:
    Schema().ensure(client)
    client.command("INSERT INTO log_version VALUES (1000)")
    with pytest.raises(StoreCorrupt, match="upgrade"):
        Schema().ensure(client)


def test_the_engine_understands_what_a_cluster_is_told(client) -> None:
    made = Schema(cluster="main", retention_seconds=60).statements()
    assert [text.split("(")[0].strip() for text in made] == [
        "CREATE TABLE IF NOT EXISTS log_local ON CLUSTER 'main'",
        "CREATE TABLE IF NOT EXISTS log_version ON CLUSTER 'main'",
        "CREATE TABLE IF NOT EXISTS log ON CLUSTER 'main' AS log_local ENGINE = Distributed",
    ]
    for statement in made:
        assert client.rows(f"EXPLAIN AST {statement}")


@pytest.mark.parametrize("url", ["postgres://x/y", "clickhouse://", "clickhouse://host:port/x", "sqlite3"])
def test_what_is_no_address_is_refused_with_what_would_be_one(url) -> None:
    with pytest.raises(SettingsError, match="MONITORING_STORE"):
        Address(url)


def test_the_name_of_a_cluster_is_a_name() -> None:
    with pytest.raises(SettingsError, match="MONITORING_CLICKHOUSE_CLUSTER"):
        Schema(cluster="x' SETTINGS y")
