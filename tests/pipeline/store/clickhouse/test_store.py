"""ClickHouse keeps the contract of a log store."""

from __future__ import annotations

import contextlib

import pytest

from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.clickhouse.client import Address, Client
from monitoring.pipeline.store.clickhouse.schema import Schema
from monitoring.pipeline.store.clickhouse.store import ClickhouseStore
from monitoring.pipeline.store.partition import Limits
from tests.pipeline.store.contract import LogStoreContract

LIMITS = Limits(segment_events=10, segment_bytes=1 << 40, segment_age_seconds=1e12, disk_reserve_bytes=0)


class TestClickhouseStore(LogStoreContract):
    @pytest.fixture
    def store(self, tmp_path, clickhouse):
        Catalog.create_or_open(tmp_path / CATALOG_FILE, partitions=2).close()
        url = clickhouse.fresh()
        with contextlib.ExitStack() as stack:

            def open_store(now):
                made = ClickhouseStore(tmp_path, LIMITS, Client(Address(url)), Schema(), now_ns=lambda: now[0])
                stack.callback(made.close)
                return made

            yield open_store
