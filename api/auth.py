"""Who asks: a bearer key, a browser's session, a user named by a trusted proxy or by the application around us.

    Authorization: Bearer  ->  proxy's user header  ->  the host application's hook  ->  session cookie

The first that is there counts. Changes without a bearer key must come from a page of this instance: a session shows
that by its CSRF token, the others by what the browser says of the page's origin.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Request

from monitoring.api.basic import password_of
from monitoring.api.problems import Problem
from monitoring.api.proxy import Proxies
from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.store.keys import ROLES, Key, allows
from monitoring.pipeline.store.sessions import csrf_token

__all__ = [
    "CACHE_SECONDS",
    "COOKIE",
    "SAFE_METHODS",
    "Authorize",
    "Caller",
    "Credentials",
    "Verifier",
    "authenticate",
    "permit",
    "present",
    "refuse_foreign",
]

CACHE_SECONDS = 2.0
"""How long a verified key is believed; a revocation must be effective everywhere within 5 s."""
COOKIE = "monitoring_session"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_CACHE_KEYS = 1024
_FIX = "send `Authorization: Bearer <key>`; the admin key is in admin.key of the data directory"

Authorize = Callable[[Request], tuple[str, str] | None]
"""What an application around the blueprint says of a request: the user's name and role, or None for nobody."""


class Verifier:
    """Looks keys, or sessions, up with a small cache, so that a hot path does not read a file at every request.

    Only good answers are kept, at most 1,024 of them and 2 s each; expiry is checked at every call.
    Safe between threads.
    """

    def __init__(
        self,
        look_up: Callable[[str], Key | None],
        *,
        now_ns: NowNs = wall_ns,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = look_up
        self._now_ns = now_ns
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[bytes, tuple[Key, float]] = {}

    def verify(self, text: str) -> Key | None:
        """The active key with exactly this text, else None."""
        digest = _digest(text)
        known = self._known.get(digest)
        if known is None or known[1] <= self._clock():
            known = self._look_up(digest, text)
        return known[0] if known is not None and known[0].state(self._now_ns()) == "active" else None

    def forget(self, text: str) -> None:
        """Ask anew the next time: it was ended here."""
        with self._lock:
            self._known.pop(_digest(text), None)

    def _look_up(self, digest: bytes, text: str) -> tuple[Key, float] | None:
        until = self._clock() + CACHE_SECONDS
        key = self._ask(text)
        with self._lock:
            self._known.pop(digest, None)
            if key is None:
                return None
            if len(self._known) >= _CACHE_KEYS:
                del self._known[next(iter(self._known))]
            self._known[digest] = (key, until)
            return self._known[digest]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request brings to show who it is from. `user` is what a trusted proxy says, "" without one.

    `foreign` says that a browser sent it from a page of another site.
    """

    authorization: str
    cookie: str
    csrf: str
    user: str
    address: str
    foreign: bool
    method: str

    @property
    def bearer(self) -> str:
        """The key in the Authorization header, as a bearer token or as the password, "" without one."""
        scheme, _, text = self.authorization.partition(" ")
        return text.strip() if scheme.lower() == "bearer" else password_of(self.authorization)

    @property
    def changing(self) -> bool:
        """Whether the method may change something."""
        return self.method not in SAFE_METHODS

    @property
    def any(self) -> bool:
        """Whether there is anything that could be wrong: a request with nothing is no attempt to log in."""
        return bool(self.authorization or self.cookie or self.user)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and how that is known: `via` is "key", "session", "proxy" or "host"."""

    key: Key
    via: str

    @property
    def label(self) -> str:
        """As the audit log names them: `key:shop/1a2b3c4d5e`, `proxy:alice`."""
        return f"{self.via}:{self.key.name}" + (f"/{self.key.prefix}" if self.key.prefix else "")


def present(request: Request, proxies: Proxies) -> Credentials:
    """What the request brings."""
    return Credentials(
        authorization=request.headers.get("Authorization", "").strip(),
        cookie=request.cookies.get(COOKIE, ""),
        csrf=request.headers.get("X-CSRF-Token", ""),
        user=proxies.user(request),
        address=proxies.client(request),
        foreign=_foreign(request, proxies.host(request)),
        method=request.method,
    )


def _foreign(request: Request, host: str) -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc.lower() != host.lower()


def authenticate(
    credentials: Credentials,
    *,
    keys: Verifier,
    sessions: Verifier,
    proxies: Proxies,
    hook: Callable[[], tuple[str, str] | None],
) -> Caller:
    """Who asks. Raises Problem 401 for nobody and for what is unknown, expired or revoked."""
    if credentials.bearer:
        key = keys.verify(credentials.bearer)
        if key is None:
            raise Problem(401, "the key is unknown, expired or revoked", field="Authorization", fix=_FIX)
        return Caller(key, "key")
    if credentials.user:
        return Caller(_named("proxy", credentials.user, proxies.role(credentials.user)), "proxy")
    named = hook()
    if named is not None:
        return Caller(_named("host", *named), "host")
    if credentials.cookie:
        key = sessions.verify(credentials.cookie)
        if key is None:
            raise Problem(401, "the session has ended", field="Cookie", fix="log in again: `monitoring login`")
        return Caller(key, "session")
    if credentials.authorization:
        raise Problem(401, "only bearer keys are understood", field="Authorization", fix=_FIX)
    raise Problem(401, "the request carries no key", field="Authorization", fix=_FIX)


def _named(via: str, name: str, role: str | None) -> Key:
    """Somebody else's user as a key. Raises Problem 403 where no role is meant for them."""
    if role not in ROLES:
        raise Problem(403, f"{name} has no role here", fix="ask an administrator for one")
    return Key(f"{via}:{name}", "", name, role, 0, None, None, None, None)


def permit(caller: Caller, credentials: Credentials, needed: str) -> None:
    """Raises Problem 403 where the role is too low, or a change could be another site's doing."""
    if not allows(caller.key.role, needed):
        raise Problem(
            403,
            f"this key has the role {caller.key.role}; {needed} is needed",
            field="Authorization",
            fix="ask an administrator for a key with that role",
        )
    if caller.via == "key" or not credentials.changing:
        return
    if caller.via != "session":
        refuse_foreign(credentials)
    elif not hmac.compare_digest(csrf_token(credentials.cookie), credentials.csrf.encode("ascii", "replace").decode()):
        raise Problem(
            403,
            "a change needs the session's token",
            field="X-CSRF-Token",
            fix="send `csrf` of GET /api/v1/session",
        )


def refuse_foreign(credentials: Credentials) -> None:
    """Raises Problem 403 for what a page of another site sends with this browser."""
    if credentials.foreign:
        raise Problem(403, "the request comes from a page of another site", field="Origin", fix="use this site's pages")
