"""Nested data: what stands under sensitive names is hidden whole, every other text by its shape."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from typing import Any

from monitoring.pipeline.redact.checksums import is_card
from monitoring.pipeline.redact.keys import Finding, KeyBook
from monitoring.pipeline.redact.values import is_hidden

__all__ = ["SHORT_WORD", "Hide", "Scan", "Sift", "TooDeep", "Tree"]

Sift = Callable[[list[str]], Set[str]]
"""Which of many texts need the careful look, told at once."""
Scan = Callable[[str], str]
"""Takes the careful look at a text: what is shown in its place, the same object where nothing is found."""
Hide = Callable[[str, str, bytes], str | None]
"""What stands in place of a value of this kind under this name; None where it is left alone."""

_MAX_DEPTH = 64
"""Deeper data is not walked: it would come near Python's limit of 1000 frames, and nobody reads it."""
_NAMES = ("name", "key", "header", "field", "param", "k", "Name", "Key", "Header", "Field")
_VALUES = frozenset(("value", "val", "v", "values", "Value", "Values", "input"))
"""Members of an object that say a name and its value: environments of Kubernetes, headers in HAR, validation errors."""
_JWK = frozenset(("d", "p", "q", "dp", "dq", "qi", "k", "oth"))
"""The private members of a JSON web key (RFC 7518, section 6)."""
_JWK_FINDING = Finding("private_key")
_PLAIN_NAME = re.compile(r"[a-z_]{1,16}")
SHORT_WORD = 13
"""A word of letters and digits this short has no shape: a card's number is the shortest that has, with 14."""


class TooDeep(Exception):
    """The data is nested deeper than is walked."""


class Tree:
    """Walks data; what is unchanged is the same object. Thread-safe. Words of `short` letters or less have no shape."""

    def __init__(self, keys: KeyBook, sift: Sift, scan: Scan, hide: Hide, *, short: int = SHORT_WORD) -> None:
        self._keys = keys
        self._short = short
        self._sift = sift
        self._scan = scan
        self._hide = hide

    def walk(self, value: Any, name: str = "") -> Any:
        """The value, which stands under this name. Raises TooDeep."""
        texts: list[str] = []
        _collect(value, texts, self._short, 0)
        suspects = self._sift(texts) if texts else frozenset[str]()
        return _Walk(self._keys, suspects, self._scan, self._hide).any(
            value, name, self._keys.find(name) if name else None
        )


def _collect(value: Any, texts: list[str], short: int, depth: int) -> None:
    """All texts within but `short` words. They are sifted together: that costs a tenth of one by one."""
    kind = type(value)
    if kind is int or kind is float or kind is bool or value is None:
        return
    if isinstance(value, str):
        if len(value) > short or not value.isalnum():
            texts.append(value)
    elif kind is dict or isinstance(value, Mapping):
        if depth > _MAX_DEPTH:
            raise TooDeep
        for key, member in value.items():
            if isinstance(key, str) and len(key) > short:
                texts.append(key)
            _collect(member, texts, short, depth + 1)
    elif isinstance(value, list | tuple | set | frozenset):
        if depth > _MAX_DEPTH:
            raise TooDeep
        for item in value:
            _collect(item, texts, short, depth + 1)
    elif isinstance(value, bytes | bytearray):
        texts.append(_decoded(value))


class _Walk:
    """One walk through data that has an end. `suspects` are the texts within it that need the careful look."""

    __slots__ = ("_hide", "_keys", "_scan", "_suspects")

    def __init__(self, keys: KeyBook, suspects: Set[str], scan: Scan, hide: Hide) -> None:
        self._keys = keys
        self._suspects = suspects
        self._scan = scan
        self._hide = hide

    def any(self, value: Any, name: str, finding: Finding | None) -> Any:
        """The value, which stands under this name that says this of it."""
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            return self._text(value, name, finding)
        if isinstance(value, int | float):
            return self._number(value, name, finding)
        if type(value) is dict or isinstance(value, Mapping):
            return self._mapping(value, name, finding)
        if isinstance(value, list | tuple | set | frozenset):
            return self._sequence(value, name, finding)
        if isinstance(value, bytes | bytearray):
            text = _decoded(value)
            shown = self._text(text, name, finding)
            return value if shown is text else shown.encode(errors="surrogateescape")
        return value

    def _text(self, value: str, name: str, finding: Finding | None) -> str:
        if finding:
            data = value.encode(errors="surrogatepass")
            hidden = self._hide(finding.kind, name, data) if is_hidden(finding, name, data) else None
            if hidden is not None:
                return hidden
        return self._scan(value) if value in self._suspects else value

    def _number(self, value: float, name: str, finding: Finding | None) -> Any:
        text = str(value)
        kind = ""
        if finding and is_hidden(finding, name, text.encode()):
            kind = finding.kind
        elif isinstance(value, int) and 14 <= len(text) <= 16 and is_card(text):
            kind, name = "card", ""
        hidden = self._hide(kind, name, text.encode()) if kind else None
        return value if hidden is None else hidden

    def _mapping(self, value: Mapping[Any, Any], name: str, finding: Finding | None) -> Any:
        told = _told(value)
        inherited = finding if finding and finding.strong else None
        members: dict[Any, Any] = {}
        changed = False
        for key, member in value.items():
            label, found = (name, inherited) if inherited else self._said(value, key, told)
            shown = self.any(member, label, found)
            shown_key = self._scan(key) if isinstance(key, str) and key in self._suspects else key
            while shown_key is not key and shown_key in members:
                shown_key += "'"  # two secrets that were keys stay two members
            changed = changed or shown is not member or shown_key is not key
            members[shown_key] = shown
        return members if changed else value

    def _said(self, value: Mapping[Any, Any], key: Any, told: str) -> tuple[str, Finding | None]:
        """The name of a member, and what it says of it."""
        if told and key in _VALUES:
            return told, self._keys.find(told)
        name = _name(key)
        found = self._keys.find(name)
        if not found and name in _JWK and "kty" in value:
            found = _JWK_FINDING
        elif found and name == "token" and "logprob" in value:
            found = None  # a piece of text with its probability
        return name, found

    def _sequence(self, value: Any, name: str, finding: Finding | None, *, within: bool = False) -> Any:
        items = list(value)
        inherited = finding if finding and finding.strong else None
        shown: list[Any] = []
        changed = False
        for index, item in enumerate(items):
            label, found = name, inherited
            if index and not inherited:
                label, found = self._beside(items, index, is_pair=within or isinstance(value, tuple))
            if isinstance(item, list | tuple):
                fresh = self._sequence(item, label, found, within=True)
            else:
                fresh = self.any(item, label, found)
            changed = changed or fresh is not item
            shown.append(fresh)
        if not changed:
            return value
        return shown if isinstance(value, list) else tuple(shown) if isinstance(value, tuple) else type(value)(shown)

    def _beside(self, items: list[Any], index: int, *, is_pair: bool) -> tuple[str, Finding | None]:
        """What the item before one says of it: `["--password", "…"]`, `("authorization", "Bearer …")`, the same as a
        list within a list; a list of two that stands alone is one of names or tags."""
        name, text = _name(items[index - 1]), _name(items[index])
        option = name.startswith("-")
        if not text or not name or len(name) > 128 or not (option or (is_pair and index == 1 and len(items) == 2)):
            return "", None
        if text.startswith("-") or (not option and _PLAIN_NAME.fullmatch(text)):
            return "", None  # another option, or a list of names
        return name, self._keys.find(name.lstrip("-"))


def _name(key: Any) -> str:
    if isinstance(key, str):
        return key
    return key.decode("latin-1") if isinstance(key, bytes) else ""


def _decoded(value: bytes | bytearray) -> str:
    return value.decode(errors="surrogateescape")


def _told(value: Mapping[Any, Any]) -> str:
    """The name that an object says its value has; "" if it says none."""
    if _VALUES.isdisjoint(value):
        return ""
    place = value.get("loc")
    if isinstance(place, list | tuple) and place and isinstance(place[-1], str) and "input" in value:
        return place[-1]  # a validation error of pydantic
    told = next((value[field] for field in _NAMES if field in value), None)
    return told if isinstance(told, str) and len(told) <= 128 else ""
