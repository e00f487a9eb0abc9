"""API keys, in control.db.

A key is `mon_<prefix>_<secret>`. Only its SHA-256 is stored (the secret has 192 random bits, so a slow hash
would add nothing); the prefix finds the row and tells people which key they look at. Commits are fsynced, because
a revoked key must stay revoked.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitoring.pipeline.clock import NowNs, rfc3339, wall_ns
from monitoring.pipeline.durable import write_once
from monitoring.pipeline.errors import MonitoringError, PermanentError
from monitoring.pipeline.store.control import FILE_NAME, Control

__all__ = ["ADMIN_KEY_FILE", "ROLES", "Key", "Keys", "allows", "ensure_admin_key"]

ROLES = ("ingest", "viewer", "operator", "admin")
"""In rising order: each may do what those before it may. `ingest` can only write."""

ADMIN_KEY_FILE = "admin.key"
_SECRET_BYTES = 24
_PREFIX_BYTES = 5
_MARK = "mon"
_MAX_KEY_LENGTH = 128
_MAX_NAME_LENGTH = 100
_LAST_USED_STEP_NS = 60 * 10**9
"""`last_used` is good to a minute: to write it at every request would cost an fsync each."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key without its secret. Times are nanoseconds since 1970; None is never.

    `quota` is how many events a minute it may bring, None for any number.
    """

    id: str
    prefix: str
    name: str
    role: str
    created: int
    expires: int | None
    revoked: int | None
    last_used: int | None
    quota: int | None

    def state(self, now: int) -> str:
        """`active`, `expired` or `revoked` at this time."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"

    def describe(self, now: int) -> dict[str, Any]:
        """The key as JSON members, times in RFC 3339."""
        times = {"created": self.created, "expires": self.expires, "revoked": self.revoked, "last_used": self.last_used}
        shown = {name: None if time is None else rfc3339(time) for name, time in times.items()}
        facts = {"id": self.id, "prefix": self.prefix, "name": self.name, "role": self.role, "state": self.state(now)}
        return facts | shown | {"quota": self.quota}


def allows(role: str, needed: str) -> bool:
    """Whether a key of this role may do what needs that one."""
    return ROLES.index(role) >= ROLES.index(needed)


class Keys:
    """The keys in a control.db."""

    def __init__(self, control: Control, *, now_ns: NowNs = wall_ns) -> None:
        self._control = control
        self._now_ns = now_ns

    def create(self, name: str, role: str, *, expires: int | None = None, quota: int | None = None) -> tuple[Key, str]:
        """A new key and its text, which is told this once. Raises PermanentError for what cannot be."""
        _check(name, role, expires, quota, self._now_ns())
        text = f"{_MARK}_{secrets.token_hex(_PREFIX_BYTES)}_{secrets.token_hex(_SECRET_BYTES)}"
        return self.add(text, name, role, expires=expires, quota=quota), text

    def add(self, text: str, name: str, role: str, *, expires: int | None = None, quota: int | None = None) -> Key:
        """Record a key whose text exists already; a key that is there is returned as it is."""
        prefix = _prefix(text)
        if prefix is None:
            raise PermanentError(f"not a key: expected {_MARK}_<prefix>_<secret>")
        with self._control.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO key(id, prefix, hash, name, role, created, expires, quota)"
                " VALUES(?,?,?,?,?,?,?,?)",
                (uuid.uuid4().hex, prefix, _hash(text), name, role, self._now_ns(), expires, quota),
            )
        found = self._find(prefix)
        if found is None or not hmac.compare_digest(found[1], _hash(text)):
            raise PermanentError("another key has this prefix; try again")
        return found[0]

    def all(self) -> list[Key]:
        """Every key, revoked ones included, oldest first."""
        return [Key(*row) for row in self._control.rows(f"SELECT {_FIELDS} FROM key ORDER BY created, id")]  # noqa: S608 - a constant

    def get(self, identity: str) -> Key | None:
        """The key with this id or prefix."""
        found = self._control.rows(f"SELECT {_FIELDS} FROM key WHERE id = ? OR prefix = ?", identity, identity)  # noqa: S608 - a constant
        return Key(*found[0]) if found else None

    def revoke(self, identity: str) -> Key | None:
        """Revoke the key with this id or prefix; None if there is none. The first revocation's time stays."""
        with self._control.transaction() as connection:
            connection.execute(
                "UPDATE key SET revoked = coalesce(revoked, ?) WHERE id = ? OR prefix = ?",
                (self._now_ns(), identity, identity),
            )
        return self.get(identity)

    def verify(self, text: str) -> Key | None:
        """The active key with exactly this text, else None. Notes that it was used."""
        prefix = _prefix(text)
        found = self._find(prefix) if prefix else None
        if found is None or not hmac.compare_digest(found[1], _hash(text)):
            return None
        key, now = found[0], self._now_ns()
        if key.state(now) != "active":
            return None
        self._note_use(key, now)
        return key

    def _find(self, prefix: str) -> tuple[Key, bytes] | None:
        found = self._control.rows(f"SELECT {_FIELDS}, hash FROM key WHERE prefix = ?", prefix)  # noqa: S608 - a constant
        return (Key(*found[0][:-1]), found[0][-1]) if found else None

    def _note_use(self, key: Key, now: int) -> None:
        """Best effort: a full disk must not lock the operator out."""
        if key.last_used is not None and now - key.last_used < _LAST_USED_STEP_NS:
            return
        try:
            with self._control.transaction() as connection:
                connection.execute("UPDATE key SET last_used = ? WHERE id = ?", (now, key.id))
        except MonitoringError:
            return


_FIELDS = "id, prefix, name, role, created, expires, revoked, last_used, quota"


def ensure_admin_key(data_dir: Path, *, now_ns: NowNs = wall_ns) -> str:
    """The admin key of this data directory, made on the first start.

    `admin.key` (mode 0600) holds the bare key, whole or not at all, whoever else starts at the same time.
    The file is written before the row: a crash between leaves a file that the next start records. Whoever
    can read the file owns the directory, so a lost control.db gets the row again; a revoked or expired key
    is replaced.
    """
    control = Control(data_dir / FILE_NAME)
    try:
        keys = Keys(control, now_ns=now_ns)
        path = data_dir / ADMIN_KEY_FILE
        text = _read_key(path) or _create_key_file(path)
        if keys.add(text, "admin", "admin").state(now_ns()) != "active":
            path.unlink(missing_ok=True)
            text = _create_key_file(path)
            keys.add(text, "admin", "admin")
        return text
    finally:
        control.close()


def _read_key(path: Path) -> str | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise PermanentError(f"{path} does not hold a key: remove it to get a new one") from error
    if _prefix(text) is None:
        raise PermanentError(f"{path} does not hold a key: remove it to get a new one")
    return text


def _create_key_file(path: Path) -> str:
    """The key in the file: ours, or that of another process that came first."""
    text = f"{_MARK}_{secrets.token_hex(_PREFIX_BYTES)}_{secrets.token_hex(_SECRET_BYTES)}"
    if write_once(path, text + "\n"):
        return text
    return _read_key(path) or _create_key_file(path)


def _check(name: str, role: str, expires: int | None, quota: int | None, now: int) -> None:
    if not name or len(name) > _MAX_NAME_LENGTH or not name.isprintable():
        raise PermanentError(f"name: expected 1 to {_MAX_NAME_LENGTH} printable characters")
    if role not in ROLES:
        raise PermanentError(f"role: expected one of {', '.join(ROLES)}")
    if expires is not None and expires <= now:
        raise PermanentError("expires: the time is past")
    if quota is not None and not 0 < quota < 1 << 40:
        raise PermanentError("quota: expected a number of events a minute, at least 1")


def _prefix(text: str) -> str | None:
    parts = text.split("_")
    if len(text) > _MAX_KEY_LENGTH or len(parts) != 3 or parts[0] != _MARK or not parts[1] or not parts[2]:
        return None
    return parts[1]


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
