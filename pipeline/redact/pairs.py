"""Names with their values in free text: `password=…`, `"api_key": "…"`, `--token …`, `<secret>…</secret>`, and so on.

    db_password = "hunter2"          the stem of a name is found by RE2, with what separates it from its value;
    |  |        ^  |                 the name is read to the left of its stem, and judged;
    name        by value             the value is read from there on, and judged too.

A value that is hidden is passed over, and what looks further ahead looks a bounded way: the work is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from monitoring.pipeline.redact.engine import compile_bytes
from monitoring.pipeline.redact.extents import Extent, Extents
from monitoring.pipeline.redact.keys import Finding, KeyBook
from monitoring.pipeline.redact.opacity import is_encoded
from monitoring.pipeline.redact.separation import SEPARATION, By, How, separated
from monitoring.pipeline.redact.spans import MARK_START, Span
from monitoring.pipeline.redact.stems import ANY_KEY, STRONG_STEMS, WEAK_STEMS, name_start
from monitoring.pipeline.redact.values import is_data, is_hidden, is_read_out, is_sentence

__all__ = ["PairFinder"]

_AHEAD = 64
"""How far behind a value is looked for what it is part of."""
_WORDY = 20
"""After mere blanks a value is no shorter than this."""
_PHRASES = ("phrase", "mnemonic", "seed words", "seed_words")
"""How names end whose values are several words."""
_NAME = re.compile(rb"[a-z_]{1,16}")
_IDENTIFIER = re.compile(rb"[A-Za-z_.]+\W*")
_SCOPES = frozenset((b"admin", b"all", b"create", b"delete", b"get", b"list", b"manage", b"read", b"update", b"write"))
_OPTION = re.compile(rb"-|[a-z]+=")
_METAVARIABLE = re.compile(rb"[A-Z_]+\W*")
_CODE = re.compile(rb"[0-9]{4,8}[.,;!]*")
_DIGEST = re.compile(rb"(?:0x)?[0-9a-f]{32,}[.,;:!]*")
_OPENING = re.compile(rb"""(?:\(|[\[,(][ \t]*\[)[ \t]*[bBuU]?\\{0,7}["']\Z""")


class _Place(NamedTuple):
    """A sensitive name in a text: it begins at `start`, its value could begin at `at`."""

    data: bytes
    start: int
    at: int
    name: str
    finding: Finding
    by: By

    @property
    def is_option(self) -> bool:
        """`--token x` of a command, `ENV TOKEN x` of a Dockerfile."""
        return self.name.startswith("-") or self.data[max(0, self.start - 4) : self.start] == b"ENV "

    @property
    def before(self) -> bytes:
        return self.data[self.start - 1 : self.start]


class PairFinder:
    """Finds the values of sensitive names in a text. Thread-safe. `own` is a pattern of further names."""

    def __init__(self, keys: KeyBook, own: str = "") -> None:
        self._keys = keys
        self._extents = Extents()
        stems = "|".join(filter(None, (own, STRONG_STEMS, WEAK_STEMS, ANY_KEY)))
        name = f"(?i:{stems})[A-Za-z0-9_.-]{{0,32}}"
        self._names = compile_bytes(f"{name}(?:{SEPARATION})", captures=False)
        self._name = compile_bytes(name, captures=False)

    def spans(self, data: bytes) -> Iterator[Span]:
        """Values to hide, in no order."""
        at = 0
        while found := self._names.search(data, at):
            stem, at = found.span()
            place, resume = self._place(data, stem, at)
            if place is None:
                at = resume
                continue
            extent = self._value(place)
            if extent is None:
                at = resume
                continue
            extent = self._extents.whole(data, extent)
            yield Span(
                extent.start, extent.end, place.finding.kind, place.name,
                b'"' if extent.bare and place.by.in_json else b"",
            )  # fmt: skip
            at = resume if place.by.wide else max(at, extent.end)

    def _place(self, data: bytes, stem: int, at: int) -> tuple[_Place | None, int]:
        """The name around a stem, None if it is not sensitive; and where to search on if nothing comes of it."""
        end = self._name.match(data, stem).end()  # it ends where it did with what separates it from its value
        start = name_start(data, stem)
        by = separated(data[end:at])
        resume = end if by.wide or by.how is How.TAG else at
        if data[max(0, start - len(MARK_START)) : start] == MARK_START:
            return None, resume
        name = data[start:end].decode(errors="replace")
        finding = self._keys.find(name.lstrip("-"))
        return (_Place(data, start, at, name, finding, by) if finding else None), resume

    def _value(self, place: _Place) -> Extent | None:
        """The value of the name, if it is a secret."""
        finding, name, how = place.finding, place.name, place.by.how
        if how is How.BLANK and not self._may_be_argument(place):
            return None
        extent = self._extent(place)
        if extent is None:
            return None
        value, rest = place.data[extent.start : extent.end], place.data[extent.end : extent.end + _AHEAD]
        if not is_data(finding, value) or not is_hidden(finding, name, value) or (extent.words and is_sentence(value)):
            return None
        if finding.kind == "token" and b"logprob" in rest:
            return None  # a piece of text with its probability
        if how is How.COMMA:
            return extent if self._is_pair(place, extent, value) else None
        if how is How.BLANK:
            return extent if self._is_argument(place, extent, value) else None
        if not extent.bare:
            return extent
        told, said = how in (How.COLON, How.VERB), how is How.VERB
        if self._is_aside(place, value) or not is_read_out(finding, name, value, rest, told=told, said=said):
            return None
        return extent

    def _extent(self, place: _Place) -> Extent | None:
        """Where the value stands."""
        data, at, by = place.data, place.at, place.by
        if by.how is How.TAG:
            extent = self._extents.line(data, at) if place.before in (b"<", b":") else None
            return extent if extent and data[extent.end : extent.end + 2] == b"</" else None
        if by.how is How.LINE:
            return self._extents.line(data, at)
        if not by.quoted and place.before in (b'"', b"'") and place.before == data[at : at + 1]:
            return None  # "password: " is a text of its own
        return self._extents.read(data, at, place.finding.kind, phrase=place.name.lower().endswith(_PHRASES))

    @staticmethod
    def _may_be_argument(place: _Place) -> bool:
        if place.is_option or place.finding.kind in ("otp", "pin"):
            return True
        word = place.data[place.at : place.at + _WORDY]
        return place.finding.strong and len(word) == _WORDY and not word.isalpha() and len(word.split()) == 1

    @staticmethod
    def _is_argument(place: _Place, extent: Extent, value: bytes) -> bool:
        """What follows a name after blanks only: the argument of an option, a code of digits, an unreadable word."""
        if place.is_option:
            return not (extent.bare and (_OPTION.match(value) or _METAVARIABLE.fullmatch(value)))
        if place.finding.kind in ("otp", "pin"):
            return bool(_CODE.fullmatch(value))
        return extent.bare and (is_encoded(value) or _DIGEST.fullmatch(value) is not None)

    @staticmethod
    def _is_pair(place: _Place, extent: Extent, value: bytes) -> bool:
        """`("password", "…")` and `["--password", "…"]`, but not a list of names such as `["password", "email"]`."""
        if extent.bare or place.name.startswith("-"):
            return not extent.bare
        return bool(_OPENING.search(place.data[max(0, place.start - 12) : place.start])) and not _NAME.fullmatch(value)

    @staticmethod
    def _is_aside(place: _Place, value: bytes) -> bool:
        """A piece of a path with colons (`arn:aws:secretsmanager:eu:1:secret:name`), a scope (`secrets:read`), an
        identifier that is compared."""
        if place.by.close and (place.before in (b":", b"/", b"=") or value.rstrip(b",;.)]").lower() in _SCOPES):
            return True
        return place.by.compared and bool(_IDENTIFIER.fullmatch(value))
