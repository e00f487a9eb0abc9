"""The metric store on SQLite does what every metric store must."""

from __future__ import annotations

import pytest

from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog
from monitoring.pipeline.store.metrics import SqliteMetricStore
from monitoring.pipeline.store.partition import Limits
from tests.pipeline.store.metric_contract import MetricStoreContract


class TestSqliteMetricStore(MetricStoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        Catalog.create_or_open(tmp_path / CATALOG_FILE, partitions=1).close()
        opened = []

        def open_(now):
            opened.append(SqliteMetricStore(tmp_path, Limits(1000, 1 << 40, 1e9, 0), now_ns=lambda: now[0]))
            return opened[-1]

        yield open_
        for each in opened:
            each.close()
