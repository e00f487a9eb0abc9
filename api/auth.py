"""Who asks: API keys in `Authorization: Bearer`, checked against control.db with a small cache."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable

from monitoring.api.basic import password_of
from monitoring.api.problems import Problem
from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.store.keys import Key, Keys, allows

__all__ = ["CACHE_SECONDS", "Verifier", "authorize", "bearer"]

CACHE_SECONDS = 2.0
"""How long a verified key is believed; a revocation must be effective everywhere within 5 s."""
_CACHE_KEYS = 1024
_FIX = "send `Authorization: Bearer <key>`; the admin key is in admin.key of the data directory"


class Verifier:
    """`Keys.verify` with a small cache, so that a hot path does not read a file at every request.

    Only good answers are kept, at most 1,024 of them and 2 s each; expiry is checked at every call.
    Safe between threads.
    """

    def __init__(self, keys: Keys, *, now_ns: NowNs = wall_ns, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._now_ns = now_ns
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[bytes, tuple[Key, float]] = {}

    def verify(self, text: str) -> Key | None:
        """The active key with exactly this text, else None."""
        digest = hashlib.sha256(text.encode(errors="surrogatepass")).digest()
        known = self._known.get(digest)
        if known is None or known[1] <= self._clock():
            known = self._look_up(digest, text)
        return known[0] if known is not None and known[0].state(self._now_ns()) == "active" else None

    def _look_up(self, digest: bytes, text: str) -> tuple[Key, float] | None:
        until = self._clock() + CACHE_SECONDS
        key = self._keys.verify(text)
        with self._lock:
            self._known.pop(digest, None)
            if key is None:
                return None
            if len(self._known) >= _CACHE_KEYS:
                del self._known[next(iter(self._known))]
            self._known[digest] = (key, until)
            return self._known[digest]


def bearer(header: str | None) -> str:
    """The key in an Authorization header. Raises Problem 401 where there is none."""
    if not header:
        raise Problem(401, "the request carries no key", field="Authorization", fix=_FIX)
    scheme, _, text = header.partition(" ")
    found = text.strip() if scheme.lower() == "bearer" else password_of(header)
    if not found:
        raise Problem(401, "only bearer keys are understood", field="Authorization", fix=_FIX)
    return found


def authorize(verifier: Verifier, header: str | None, needed: str) -> Key:
    """The key that asks. Raises Problem 401 for an unknown, expired or revoked one, 403 for too low a role."""
    key = verifier.verify(bearer(header))
    if key is None:
        raise Problem(401, "the key is unknown, expired or revoked", field="Authorization", fix=_FIX)
    if not allows(key.role, needed):
        raise Problem(
            403,
            f"this key has the role {key.role}; {needed} is needed",
            field="Authorization",
            fix="ask an administrator for a key with that role",
        )
    return key
