"""Redaction: what is secret is hidden before anything leaves the process, and it shows that something was there.

    events -> sieve, many texts in one pass -> no finds: the same events
                |
                +-> text ------------------------------> shapes, names with values, own patterns -> [REDACTED:kind]
                +-> JSON -> parsed, walked by name ------^

Nearly all events end at the first arrow. Everything takes time in proportion to the input's length, whatever it is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import orjson

from monitoring.pipeline.events.event import Event
from monitoring.pipeline.redact.ending import outlived, watch
from monitoring.pipeline.redact.escapes import unescaped
from monitoring.pipeline.redact.http import Http
from monitoring.pipeline.redact.keys import KeyBook
from monitoring.pipeline.redact.own import AllowList, OwnPatterns
from monitoring.pipeline.redact.pairs import PairFinder
from monitoring.pipeline.redact.shapes import ShapeFinder
from monitoring.pipeline.redact.sieve import Sieve
from monitoring.pipeline.redact.spans import Span, clear_of_markers, marker, merged, replaced
from monitoring.pipeline.redact.stems import own_stems
from monitoring.pipeline.redact.tree import SHORT_WORD, TooDeep, Tree

__all__ = ["Redactor"]

_ROUNDS = 4
"""A text is searched again after something was hidden in it, so that redacting it once more changes nothing. Escapes
within escapes are followed so far."""
_COLUMNS = (attrgetter("message"), attrgetter("exception"), attrgetter("attributes"))


class Redactor:
    """Hides secrets by name and by shape. Thread-safe; it raises nothing on any input.

    `keys` are further sensitive names: a name that has the words of one in a row is sensitive (`salary` hides
    `baseSalary`, and its kind is `salary`). `patterns` are kinds with RE2 patterns of the user's own: a group named
    `secret`, if there is one, is what is hidden, else the whole match. `allow` are RE2 patterns: a find whose name or
    text one of them matches fully is left alone. Raises SettingsError that names the pattern that cannot be used.

    `found` counts what was hidden, by kind.
    """

    def __init__(
        self, *, keys: Sequence[str] = (), patterns: Mapping[str, str] = {}, allow: Sequence[str] = ()
    ) -> None:
        watch()
        self.found: dict[str, int] = {}
        self._lock = threading.Lock()
        self._own = OwnPatterns(patterns)
        self._allow = AllowList(allow)
        stems = own_stems(keys)
        book = KeyBook(keys)
        self._sieve = Sieve(book, stems)
        self._shapes = ShapeFinder()
        self._pairs = PairFinder(book, stems)
        self._tree = Tree(book, self._searched, self._hidden, short=0 if self._own else SHORT_WORD)
        self._http = Http(book, self.text, self._searched, self._hidden)

    @outlived
    def text(self, text: str) -> str:
        """Free text, one line or many. The same object where nothing is found."""
        data = text.encode(errors="surrogatepass")
        if not self._sieve.hits(data) and not self._own.hit(data):
            return text
        return self._careful(text, data)

    @outlived
    def json(self, text: str) -> str:
        """JSON text, as JSON; what is none, or cannot be read, as free text. The same object where nothing is found."""
        data = text.encode(errors="surrogatepass")
        if not self._sieve.hits(data) and not self._own.may_hit_json(data):
            return text
        try:
            value = orjson.loads(data)
            shown = self._tree.walk(value)
            return text if shown is value else orjson.dumps(shown).decode()
        except (orjson.JSONDecodeError, orjson.JSONEncodeError, TooDeep, RecursionError):
            return self.text(text)

    @outlived
    def value(self, value: Any, name: str = "") -> Any:
        """A Python value under this name: dictionaries, lists, tuples, sets, texts, bytes and numbers are looked into,
        anything else is returned as it is. The same object where nothing is found. Data nested deeper than 64 levels is
        replaced whole."""
        try:
            return self._tree.walk(value, name)
        except (TooDeep, RecursionError):
            return self._hidden("depth", "", b"") or value

    @outlived
    def headers(self, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
        """HTTP headers. Cookies keep their names: `sid=[REDACTED:cookie]; theme=[REDACTED:cookie]`, and Set-Cookie its
        attributes. Values of a header that comes twice are joined with a comma."""
        return self._http.headers(headers)

    @outlived
    def query(self, query: str) -> str:
        """A URL's query string or a form's body."""
        return self._http.query(query)

    @outlived
    def url(self, url: str) -> str:
        """A URL: its password, path, query and fragment."""
        return self._http.url(url)

    @outlived
    def events(self, events: Sequence[Event]) -> list[Event]:
        """A batch: message as text, exception and attributes as JSON. The same event where nothing is found; fields
        that are no text are left alone."""
        shown = list(events)
        for index in self._suspects(shown):
            shown[index] = self._event(shown[index])
        return shown

    def renew_after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    def _suspects(self, events: list[Event]) -> Iterable[int]:
        """Which of these need the careful look; all where some are not what they should be."""
        try:
            found = {
                index for column in _COLUMNS for index in self._sieve.hits_among([column(event) for event in events])
            }
            if self._own:
                found |= {index for index, event in enumerate(events) if self._is_own(event)}
        except (TypeError, AttributeError):
            return range(len(events))
        return found

    def _is_own(self, event: Event) -> bool:
        message, exception, attributes = (column(event).encode(errors="surrogatepass") for column in _COLUMNS)
        return (
            self._own.hit(message)
            or self._own.may_hit_json(attributes)
            or bool(exception and self._own.may_hit_json(exception))
        )

    def _event(self, event: Event) -> Event:
        if not isinstance(event, Event):
            return event
        message = self.text(event.message) if isinstance(event.message, str) else event.message
        exception = self.json(event.exception) if isinstance(event.exception, str) else event.exception
        attributes = self.json(event.attributes) if isinstance(event.attributes, str) else event.attributes
        if message is event.message and exception is event.exception and attributes is event.attributes:
            return event
        return event._replace(message=message, exception=exception, attributes=attributes)

    def _searched(self, texts: list[str]) -> Mapping[str, str]:
        """What is shown in place of those of these texts that have secrets in them."""
        suspects = {texts[index] for index in self._sieve.hits_among(texts)}
        if self._own:
            suspects |= {text for text in texts if self._own.hit(text.encode(errors="surrogatepass"))}
        shown = ((text, self._careful(text, text.encode(errors="surrogatepass"))) for text in suspects)
        return {text: fresh for text, fresh in shown if fresh is not text}

    def _careful(self, text: str, data: bytes) -> str:
        shown = self._scanned(data)
        return text if shown == data else shown.decode(errors="surrogatepass")

    def _scanned(self, data: bytes) -> bytes:
        """The text with what is secret in it hidden, also behind escapes."""
        for _ in range(_ROUNDS):
            spans = self._spans(data)
            if not spans:
                plain = unescaped(data)
                if plain == data:
                    break
                spans = self._spans(plain)
                if not spans:
                    break
                data = plain
            self._count(spans)
            data = replaced(data, spans)
        return data

    def _spans(self, data: bytes) -> list[Span]:
        found = [*self._own.spans(data), *self._shapes.spans(data), *self._pairs.spans(data)]
        kept = [span for span in found if not self._allow.allows(span.name, data[span.start : span.end])]
        return clear_of_markers(data, merged(kept)) if kept else kept

    def _hidden(self, kind: str, name: str, value: bytes) -> str | None:
        if self._allow.allows(name, value):
            return None
        self._count([Span(0, 0, kind)])
        return marker(kind)

    def _count(self, spans: Iterable[Span]) -> None:
        with self._lock:
            for span in spans:
                self.found[span.kind] = self.found.get(span.kind, 0) + 1
