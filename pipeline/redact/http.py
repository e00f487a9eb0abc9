"""What HTTP carries: headers, cookies, query strings and forms, addresses."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote_plus

from monitoring.pipeline.redact.keys import KeyBook
from monitoring.pipeline.redact.spans import MARKER
from monitoring.pipeline.redact.tree import Hide, Scan, Sift
from monitoring.pipeline.redact.values import is_hidden

__all__ = ["Http"]


class Http:
    """Redacts parts of requests and responses. `text` looks for secrets in one text that may have none."""

    def __init__(self, keys: KeyBook, text: Scan, sift: Sift, scan: Scan, hide: Hide) -> None:
        self._keys = keys
        self._text = text
        self._sift = sift
        self._scan = scan
        self._hide = hide

    def headers(self, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Headers by name as it was written; values of one that comes again are joined with a comma."""
        pairs = list(headers)
        suspects = self._sift([value for _, value in pairs])
        shown: dict[str, str] = {}
        for name, value in pairs:
            text = self._header(name, value) or (self._scan(value) if value in suspects else value)
            shown[name] = f"{shown[name]}, {text}" if name in shown else text
        return shown

    def _header(self, name: str, value: str) -> str | None:
        lower = name.lower()
        if lower == "cookie":
            return ";".join(map(self._cookie, value.split(";")))
        if lower == "set-cookie":
            first, semicolon, attributes = value.partition(";")
            return f"{self._cookie(first)}{semicolon}{attributes}"
        return self._valued(name, value)

    def _cookie(self, cookie: str) -> str:
        """A cookie with its name."""
        name, equals, value = cookie.partition("=")
        data = value.strip().encode(errors="surrogatepass")
        hidden = self._hide("cookie", name.strip(), data) if data and not MARKER.fullmatch(data) else None
        return cookie if hidden is None else f"{name}{equals}{hidden}"

    def query(self, query: str) -> str:
        """A query string or a form's body."""
        if not query:
            return query
        parts = query.split("&")
        for index, part in enumerate(parts):
            name, equals, text = part.partition("=")
            hidden = self._valued(unquote_plus(name), unquote_plus(text)) if text else None
            if hidden is not None:
                parts[index] = f"{name}{equals}{hidden}"
        return self._text("?" + "&".join(parts))[1:]  # some shapes begin with the sign before a parameter

    def url(self, url: str) -> str:
        """An address: password, path, query and fragment (which OAuth puts tokens in)."""
        rest, hash_sign, fragment = url.partition("#")
        base, question, query = rest.partition("?")
        return f"{self._text(base)}{question}{self.query(query)}{hash_sign}{self.query(fragment)}"

    def _valued(self, name: str, value: str) -> str | None:
        finding = self._keys.find(name)
        data = value.encode(errors="surrogatepass")
        return self._hide(finding.kind, name, data) if finding and is_hidden(finding, name, data) else None
