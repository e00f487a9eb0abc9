"""Which log store the settings name: one place that chooses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.errors import PermanentError, SettingsError
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.interface import Doomed, LogStore
from monitoring.pipeline.store.partition import limits_of
from monitoring.pipeline.store.reader import Reader
from monitoring.pipeline.store.sqlite import SqliteStore, open_store

if TYPE_CHECKING:
    from monitoring.pipeline.store.clickhouse.schema import Schema

__all__ = ["check_logs", "days_due", "is_elsewhere", "open_logs", "refuse_purge"]

SQLITE = "sqlite"


def is_elsewhere(chosen: Settings) -> bool:
    """Whether the events lie on a server, and not in the data directory."""
    return chosen.text("store") != SQLITE


def check_logs(chosen: Settings) -> None:
    """Raises SettingsError where the settings of the log store cannot be used; asks no server."""
    if is_elsewhere(chosen):
        from monitoring.pipeline.store.clickhouse.client import Address

        Address(chosen.text("store"))
        _schema(chosen)
        if chosen.ages("retention_services"):
            raise SettingsError("MONITORING_RETENTION_SERVICES is for files, ClickHouse keeps all services alike")


def open_logs(chosen: Settings, *, reader: Reader | None = None, now_ns: NowNs = wall_ns) -> LogStore:
    """The log store of these settings; `reader` is for one of files. The server, if there is one, is asked later.

    Raises StoreCorrupt where the data directory has no catalog, SettingsError.
    """
    if not is_elsewhere(chosen):
        return open_store(chosen, reader=reader)
    check_logs(chosen)
    from monitoring.pipeline.store.clickhouse.client import Address, Client
    from monitoring.pipeline.store.clickhouse.store import ClickhouseStore

    client = Client(Address(chosen.text("store")))
    return ClickhouseStore(chosen.data, limits_of(chosen), client, _schema(chosen), now_ns=now_ns)


def _schema(chosen: Settings) -> Schema:
    from monitoring.pipeline.store.clickhouse.schema import Schema

    return Schema(cluster=chosen.text("clickhouse_cluster"), retention_seconds=chosen.number("retention_age"))


def days_due(store: LogStore, chosen: Settings, *, now_ns: int) -> Sequence[Doomed]:
    """What of the events on a server has to go now; nothing where they are files (`retention.due`)."""
    if isinstance(store, SqliteStore):
        return []
    return store.doomed(
        now_ns, max_age_seconds=chosen.number("retention_age"), max_bytes=chosen.whole("retention_bytes")
    )


def refuse_purge(chosen: Settings) -> None:
    """Raises PermanentError where the events do not lie in files, which is what a purge rewrites."""
    if is_elsewhere(chosen):
        raise PermanentError(
            "a purge rewrites files, and these events lie on ClickHouse: use ALTER TABLE log DELETE there "
            "(docs/clickhouse.md), `monitoring verify` will name the difference"
        )
