"""What stands between a name and its value."""

from __future__ import annotations

import enum
from functools import lru_cache
from typing import NamedTuple

__all__ = ["SEPARATION", "By", "How", "separated"]

_QUOTE = r"""(?:\\{0,7}["'`]|%22|&quot;|&#3[49];)"""
_CLOSE = rf"(?:{_QUOTE}|\]|%5[dD]|\*){{0,4}}"

SEPARATION = (
    # a type and an equals sign
    rf"{_CLOSE}[ \t]*:[ \t]*(?:str|string|bytes|SecretStr|Optional\[str\])(?:[ \t]*\|[ \t]*None)?[ \t]*=[ \t]*"
    # YAML's signs for a block
    rf"|{_CLOSE}[ \t]*:[ \t]*[|>][+-]?[ \t]*\r?\n[ \t]+"
    # a sign
    rf"|{_CLOSE}[ \t]*(?:=>|:=|=+|::?|%3[dDaA]|&#61;)[ \t]*"
    # the next member, `value`
    rf"|{_QUOTE}?[ \t]*[,;]?\s{{0,40}}{_QUOTE}?(?i:value){_QUOTE}?[ \t]*[:=][ \t]*"
    # a validation error of pydantic: the field's name, its fault (200 signs of it), what was given
    rf"|[ \t]*\r?\n[ \t]+[^\n]{{0,200}}?\binput_value="
    rf"|{_QUOTE}[ \t]*[\])][^\n]{{0,200}}?{_QUOTE}input{_QUOTE}[ \t]*:[ \t]*"
    # a comma within a pair
    rf"|{_QUOTE}[ \t]*,[ \t]*"
    # the end of a tag
    r"|(?:[ \t][^<>\n]{0,80})?>"
    # a verb
    r"|[ \t]+(?i:(?:is|was|are)(?:[ \t]+(?:now|set[ \t]+to))?|set[ \t]+to)[ \t]*:?[ \t]+"
    # whose it is: `password for user bob is`, `password of alice:`
    r"|[ \t]+(?i:for|of)[ \t]+(?i:the[ \t]+)?(?i:(?:user|account|role|login|database|db|host)[ \t]+)?[^\s:=]{1,64}"
    r"(?:[ \t]+(?i:is|was|set[ \t]+to)[ \t]*:?[ \t]+|[ \t]*:[ \t]+)"
    # an empty line, in a form
    rf"|{_QUOTE}?(?:\r?\n|\\r\\n){{2}}"
    # blanks
    r"|[ \t]+"
)
"""All that may separate the two, as a pattern."""


_USUAL = 16
"""Longer separations are read each time: they hold pieces of logs, which must not be kept."""


class How(enum.Enum):
    """How a separation reads."""

    EQUALS = enum.auto()
    COLON = enum.auto()
    VERB = enum.auto()
    COMMA = enum.auto()
    TAG = enum.auto()
    LINE = enum.auto()
    BLANK = enum.auto()


class By(NamedTuple):
    """A separation. `quoted`: it begins with the quote that ends the name; `in_json`: as in JSON; `close`: a colon
    alone; `compared`: it is `==`; `wide`: other names may stand in it."""

    how: How
    quoted: bool
    in_json: bool
    close: bool
    compared: bool
    wide: bool


def separated(raw: bytes) -> By:
    """How these bytes separate a name from its value."""
    return _usual(raw) if len(raw) <= _USUAL else _read(raw)


def _read(raw: bytes) -> By:
    text = raw.strip(b" \t")
    how = How.EQUALS
    if not text:
        how = How.BLANK
    elif raw.endswith((b"\n", b"\\n")) or (b"\n" in raw and text[:1] == b":"):
        how = How.LINE
    elif text.lower().startswith((b"for", b"of")):
        how = How.COLON if text.endswith(b":") else How.VERB
    elif text.lower().startswith((b"is", b"was", b"are", b"set")):
        how = How.VERB
    elif text.endswith(b","):
        how = How.COMMA
    elif text.endswith(b">") and not text.endswith(b"=>"):
        how = How.TAG
    elif text.endswith(b":"):
        how = How.COLON
    quoted = raw[:1] in (b'"', b"'")
    return By(how, quoted, raw[:1] == b'"' and how is How.COLON, raw == b":", text == b"==", len(raw) > _USUAL)


_usual = lru_cache(maxsize=512)(_read)
