"""`control.db`: one small SQLite file for what the product must remember besides events.

`Control` is the open file. What it holds has a module for each noun beside this one: keys.py the API keys,
promises.py the idempotency records, searches.py the saved searches, sessions.py the browser sessions, audit.py
the audit log, outbox.py the notices, channels.py where those go, derived_metrics.py what is derived from logs,
rules.py, alerts.py, seen.py, rises.py and silences.py what is wrong and who was told, purges.py what is to be
purged, history.py how long what happened is kept.
Commits are fsynced (`synchronous=FULL`): a revoked key must stay revoked, and what was promised under an
Idempotency-Key must be kept over a power cut.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from monitoring.pipeline.errors import RetryableError, StoreCorrupt, StoreFull

__all__ = ["FILE_NAME", "SCHEMA_VERSION", "Control"]

FILE_NAME = "control.db"
_BUSY_TIMEOUT_MS = 5000
"""Another process holds the write lock for one fsync, some milliseconds; seconds mean that it is stuck."""

_MIGRATIONS = (
    """
    CREATE TABLE key(
        id TEXT PRIMARY KEY, prefix TEXT NOT NULL UNIQUE, hash BLOB NOT NULL, name TEXT NOT NULL,
        role TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER, revoked INTEGER, last_used INTEGER,
        quota INTEGER);
    CREATE TABLE promise(
        scope TEXT NOT NULL, value TEXT NOT NULL, generation INTEGER NOT NULL, digest BLOB NOT NULL,
        created INTEGER NOT NULL, partition INTEGER NOT NULL, result BLOB,
        PRIMARY KEY(scope, value)) WITHOUT ROWID;
    CREATE INDEX promise_created ON promise(created);
    CREATE TABLE replay(letter TEXT PRIMARY KEY, created INTEGER NOT NULL, events INTEGER) WITHOUT ROWID;
    """,
    "CREATE TABLE saved_search(name TEXT PRIMARY KEY, query TEXT NOT NULL, saved INTEGER NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE login_link(
        hash BLOB PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE session(
        id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, name TEXT NOT NULL, role TEXT NOT NULL, key TEXT NOT NULL,
        created INTEGER NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE audit(
        id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
        object TEXT NOT NULL, address TEXT NOT NULL, request_id TEXT NOT NULL, before TEXT, after TEXT);
    CREATE INDEX audit_at ON audit(at);
    CREATE TRIGGER audit_not_changed BEFORE UPDATE ON audit
        BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
    CREATE TRIGGER audit_not_deleted BEFORE DELETE ON audit
        BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
    """,
    """
    CREATE TABLE rule(
        name TEXT PRIMARY KEY, source TEXT NOT NULL, file TEXT NOT NULL, line INTEGER NOT NULL, data BLOB NOT NULL,
        enabled INTEGER NOT NULL, due INTEGER NOT NULL, claim TEXT NOT NULL DEFAULT '',
        claimed_until INTEGER NOT NULL DEFAULT 0, status TEXT NOT NULL DEFAULT 'new', note TEXT NOT NULL DEFAULT '',
        evaluated INTEGER, took_ms REAL, groups INTEGER NOT NULL DEFAULT 0, changed INTEGER NOT NULL,
        changed_by TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX rule_due ON rule(due) WHERE enabled;
    CREATE TABLE rule_default(name TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE rule_file(
        path TEXT PRIMARY KEY, signature TEXT NOT NULL, loaded INTEGER NOT NULL, rules INTEGER NOT NULL,
        errors BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE seen(
        rule TEXT NOT NULL, fingerprint TEXT NOT NULL, labels BLOB NOT NULL, first INTEGER NOT NULL,
        last INTEGER NOT NULL, PRIMARY KEY(rule, fingerprint)) WITHOUT ROWID;
    CREATE TABLE alert(
        id TEXT PRIMARY KEY, rule TEXT NOT NULL, state TEXT NOT NULL, severity TEXT NOT NULL, started INTEGER NOT NULL,
        updated INTEGER NOT NULL, data BLOB NOT NULL);
    CREATE INDEX alert_rule ON alert(rule, updated);
    CREATE INDEX alert_state ON alert(state, started);
    CREATE TABLE transition(
        alert TEXT NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, before TEXT NOT NULL,
        after TEXT NOT NULL, actor TEXT NOT NULL, note TEXT NOT NULL, value REAL,
        PRIMARY KEY(alert, number)) WITHOUT ROWID;
    CREATE TRIGGER transition_stays BEFORE UPDATE ON transition BEGIN SELECT RAISE(ABORT, 'history is kept'); END;
    CREATE TRIGGER transition_remains BEFORE DELETE ON transition BEGIN SELECT RAISE(ABORT, 'history is kept'); END;
    CREATE TABLE silence(
        id TEXT PRIMARY KEY, starts INTEGER NOT NULL, ends INTEGER NOT NULL, matchers BLOB NOT NULL,
        author TEXT NOT NULL, reason TEXT NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE maintenance_window(name TEXT PRIMARY KEY, data BLOB NOT NULL, author TEXT NOT NULL) WITHOUT ROWID;
    """,
    """
    CREATE TABLE channel(
        name TEXT PRIMARY KEY, kind TEXT NOT NULL, config BLOB NOT NULL, sealed BLOB NOT NULL,
        is_default INTEGER NOT NULL, enabled INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS outbox(
        key TEXT PRIMARY KEY, channel TEXT NOT NULL, event TEXT NOT NULL, grouping TEXT NOT NULL, body BLOB NOT NULL,
        created INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL DEFAULT 'waiting', error TEXT NOT NULL DEFAULT '', ended INTEGER);
    CREATE INDEX outbox_waiting ON outbox(channel, grouping) WHERE state = 'waiting';
    CREATE INDEX outbox_ended ON outbox(ended) WHERE ended IS NOT NULL;
    CREATE TABLE message(
        id TEXT PRIMARY KEY, channel TEXT NOT NULL, grouping TEXT NOT NULL, created INTEGER NOT NULL,
        due INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, progress TEXT NOT NULL DEFAULT '',
        reply TEXT NOT NULL DEFAULT '', ended INTEGER);
    CREATE INDEX message_open ON message(channel, grouping) WHERE ended IS NULL;
    CREATE TABLE part(key TEXT PRIMARY KEY, message TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX part_message ON part(message);
    CREATE TABLE pace(
        channel TEXT PRIMARY KEY, tokens REAL NOT NULL, at INTEGER NOT NULL, resume INTEGER NOT NULL DEFAULT 0,
        leased INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
    CREATE TABLE heartbeat(one INTEGER PRIMARY KEY CHECK(one = 1), tried INTEGER NOT NULL, problem TEXT NOT NULL);
    """,
    """
    CREATE TABLE purge(
        id INTEGER PRIMARY KEY AUTOINCREMENT, actor TEXT NOT NULL, created INTEGER NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting', ended INTEGER, query TEXT, start INTEGER NOT NULL, end INTEGER NOT NULL,
        result BLOB NOT NULL);
    """,
    """
    CREATE TABLE derived_metric(
        name TEXT PRIMARY KEY, data BLOB NOT NULL, changed INTEGER NOT NULL, changed_by TEXT NOT NULL) WITHOUT ROWID;
    """,
    """
    DROP TRIGGER audit_not_deleted;
    CREATE TRIGGER audit_not_deleted BEFORE DELETE ON audit WHEN OLD.at > (unixepoch() - 30 * 86400) * 1000000000
        BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
    DROP TRIGGER transition_remains;
    CREATE TRIGGER transition_remains BEFORE DELETE ON transition
        WHEN OLD.at > (unixepoch() - 30 * 86400) * 1000000000 BEGIN SELECT RAISE(ABORT, 'history is kept'); END;
    CREATE INDEX alert_ended ON alert(updated) WHERE state = 'resolved';
    """,
    """
    CREATE TABLE rise(
        name TEXT NOT NULL, key TEXT NOT NULL, at INTEGER NOT NULL, total INTEGER NOT NULL, by INTEGER NOT NULL,
        PRIMARY KEY(name, key, at)) WITHOUT ROWID;
    """,
)
"""Each entry brings the file from version i to i + 1 (`PRAGMA user_version`); entries are never edited."""
SCHEMA_VERSION = len(_MIGRATIONS)


class Control:
    """The open file. Safe between threads; never used across a fork (open another one in the child)."""

    def __init__(self, path: Path) -> None:
        """Open, and create or upgrade, the file. Raises StoreCorrupt or StoreFull."""
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would create it readable by all
        with _errors_as_ours(path):
            self._connection = apsw.Connection(str(path))
            self._connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
            self._connection.pragma("journal_mode", "wal")
            self._connection.pragma("synchronous", "FULL")
            self._migrate()

    @contextmanager
    def transaction(self) -> Iterator[apsw.Connection]:
        """A write transaction: committed and fsynced at the end, rolled back if the block raises."""
        with self._lock, _errors_as_ours(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._commit()

    def rows(self, sql: str, *bindings: Any, **named: Any) -> list[tuple[Any, ...]]:
        """Result of one reading statement, whose parameters are `?` or, all of them, named: `:now`."""
        with self._lock, _errors_as_ours(self.path):
            return list(self._connection.execute(sql, named or bindings))

    def close(self) -> None:
        """Close the file; the object is of no use afterwards."""
        with self._lock:
            self._connection.close()

    def _commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _migrate(self) -> None:
        version = self._version()
        if version == len(_MIGRATIONS):
            return
        with self.transaction() as connection:
            version = self._version()
            if version > len(_MIGRATIONS):
                raise StoreCorrupt(
                    f"{self.path} is of version {version}, this release knows {len(_MIGRATIONS)}: "
                    "run the newer release, or restore a backup made with this one"
                )
            for script in _MIGRATIONS[version:]:
                connection.execute(script)
            connection.pragma("user_version", len(_MIGRATIONS))

    def _version(self) -> int:
        return int(self._connection.pragma("user_version") or 0)


@contextmanager
def _errors_as_ours(path: Path) -> Iterator[None]:
    try:
        yield
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise StoreCorrupt(f"{path} is damaged ({error}): restore it from a backup") from error
    except (apsw.BusyError, apsw.LockedError) as error:
        raise RetryableError(f"another process has held {path} for {_BUSY_TIMEOUT_MS // 1000} s") from error
    except (apsw.FullError, apsw.IOError, apsw.ReadOnlyError, apsw.CantOpenError) as error:
        raise StoreFull(f"{path} cannot be written ({error}): make room on its disk") from error
