"""Browser sessions and the one-time links that begin them, in control.db.

A link's token and a session's cookie have 256 random bits each; only their SHA-256 is stored, so that whoever reads
the file or a backup of it can use neither. The process that prints a link (`monitoring up`, `monitoring login`) and
the one that takes it (the API) are different ones: they meet in this file.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

import apsw

from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.keys import ROLES

__all__ = ["LINK_SECONDS", "Session", "Sessions", "csrf_token"]

LINK_SECONDS = 600.0
"""How long a link is good: time to change to the browser, and little for one that is found in a scroll-back later."""
MAX_SESSIONS = 1000
"""Kept at a time: a team's browsers, with room. The oldest ends where one more begins."""
_SECRET_BYTES = 32
_MAX_TEXT = 128


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody's browser. Times are nanoseconds since 1970.

    `key` is the id of the API key that it began with, "" where it was a link; it ends with its key.
    """

    id: str
    name: str
    role: str
    key: str
    created: int
    expires: int

    def alive(self, now: int) -> bool:
        """Whether it may still be used at this time."""
        return now < self.expires


class Sessions:
    """The sessions in a control.db. `lifetime_seconds` is how long a new one lasts."""

    def __init__(self, control: Control, *, lifetime_seconds: float, now_ns: NowNs = wall_ns) -> None:
        self._control = control
        self._lifetime_ns = int(lifetime_seconds * 1e9)
        self._now_ns = now_ns

    def invite(self, name: str, role: str) -> str:
        """A token that begins one session, within ten minutes. Raises PermanentError for what is no role."""
        if role not in ROLES:
            raise PermanentError(f"role: expected one of {', '.join(ROLES)}")
        text, now = secrets.token_urlsafe(_SECRET_BYTES), self._now_ns()
        with self._control.transaction() as connection:
            connection.execute("DELETE FROM login_link WHERE expires <= ?", (now,))
            connection.execute(
                "INSERT INTO login_link(hash, name, role, expires) VALUES(?, ?, ?, ?)",
                (_hash(text), name, role, now + int(LINK_SECONDS * 1e9)),
            )
        return text

    def redeem(self, token: str) -> tuple[Session, str] | None:
        """The session that a token begins, and its cookie; None for a token that is unknown, old or was used.

        Of several that bring the same token at the same time, one gets a session.
        """
        with self._control.transaction() as connection:
            found = connection.execute(
                "DELETE FROM login_link WHERE hash = ? RETURNING name, role, expires", (_hash(token),)
            ).fetchone()
            if found is None or found[2] <= self._now_ns():
                return None
            return self._begin(connection, found[0], found[1], "")

    def begin(self, name: str, role: str, key: str) -> tuple[Session, str]:
        """A session for the holder of the key with this id, and its cookie."""
        with self._control.transaction() as connection:
            return self._begin(connection, name, role, key)

    def find(self, text: str) -> Session | None:
        """The session that lives and has exactly this cookie; None also where its key was revoked or is expired."""
        now = self._now_ns()
        found = self._control.rows(
            "SELECT session.id, session.name, session.role, session.key, session.created, session.expires FROM session"
            " LEFT JOIN key ON key.id = session.key WHERE session.hash = ? AND session.expires > ?"
            " AND (session.key = '' OR key.revoked IS NULL AND key.id IS NOT NULL AND ifnull(key.expires, ?) >= ?)",
            _hash(text), now, now + 1, now,
        )  # fmt: skip
        return Session(*found[0]) if found else None

    def end(self, text: str) -> Session | None:
        """End the session with this cookie; None where there is none."""
        with self._control.transaction() as connection:
            found = connection.execute(
                "DELETE FROM session WHERE hash = ? RETURNING id, name, role, key, created, expires", (_hash(text),)
            ).fetchone()
        return Session(*found) if found else None

    def _begin(self, connection: apsw.Connection, name: str, role: str, key: str) -> tuple[Session, str]:
        text, now = secrets.token_urlsafe(_SECRET_BYTES), self._now_ns()
        session = Session(secrets.token_hex(8), name, role, key, now, now + self._lifetime_ns)
        connection.execute("DELETE FROM session WHERE expires <= ?", (now,))
        connection.execute(
            "DELETE FROM session WHERE id IN (SELECT id FROM session ORDER BY created DESC LIMIT -1 OFFSET ?)",
            (MAX_SESSIONS - 1,),
        )
        connection.execute(
            "INSERT INTO session(id, hash, name, role, key, created, expires) VALUES(?, ?, ?, ?, ?, ?, ?)",
            (session.id, _hash(text), name, role, key, session.created, session.expires),
        )
        return session, text


def csrf_token(cookie: str) -> str:
    """What the pages of a session send with each change. Follows from the cookie, which no script can read."""
    return hmac.new(cookie.encode(errors="surrogatepass"), b"monitoring csrf", hashlib.sha256).hexdigest()


def _hash(text: str) -> bytes:
    return hashlib.sha256(text[:_MAX_TEXT].encode(errors="surrogatepass")).digest()
