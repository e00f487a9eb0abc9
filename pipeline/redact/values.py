"""Whether the value of a sensitive name is a secret, and not a placeholder, a state, source code or a sentence."""

from __future__ import annotations

import re

from monitoring.pipeline.redact.keys import Finding, words_of
from monitoring.pipeline.redact.opacity import is_encoded, is_opaque
from monitoring.pipeline.redact.spans import MARKER

__all__ = ["is_data", "is_hidden", "is_placeholder", "is_read_out", "is_sentence"]

_LOOKED_AT = 256


def _set(words: bytes) -> frozenset[bytes]:
    return frozenset(words.split())


_STATES = _set(
    b"absent accepted any bool boolean bytes changed denied disabled empty enabled expired expiring failed false "
    b"filtered float forbidden hidden ignored incorrect int integer invalid json malformed masked missing mismatch "
    b"n/a na nan nil no none not null object off ok omitted on optional pending present redacted refreshed rejected "
    b"removed required reset revoked rotated sanitized secretstr set str string success text true unauthorized "
    b"undefined unknown unset unused updated valid validated varchar verified wrong yes"
)
"""What is said of a secret in its place: states, types, nothings."""
_PROSE = _set(
    b"a account already an and any are as at authentication based be because before but by can cannot client "
    b"connection could credentials did do does email ensure enter error exception expected expires expiry failed "
    b"failure field for format from got had has have if in is it its length let may must need needs never new no not "
    b"of on only or password passwords please policy provided quota rate request resource server should signature "
    b"since some someone something than that the their there these they this to too unable unexpected unsupported "
    b"use used user using value was we were when which while will with without would you your"
)
"""Words that begin a sentence about a secret."""
_PLACEHOLDER = re.compile(
    rb"\*+|\.{2,}|[xX]{3,}|[#_?-]+|\*{3,}.{0,8}|.{0,8}\*{3,}|<[^<>]*>|\[[A-Za-z_ -]*\]?|\([A-Za-z_ -]*\)?"
    rb"|\{+[A-Za-z_ .|-]*\}*|\$[{(].*|\$(?:[A-Z_]+|[a-z_]+|[0-9]{1,2})|%\(?\w*\)?[sdrf]|%[A-Z_]+%|:[a-z_]+",
    re.DOTALL,
)
_PATH = re.compile(rb"(?:~|\.{1,2})?/(?:[a-z0-9_.@-]+/)+[A-Za-z0-9_.@-]*|[A-Za-z]:\\.*", re.DOTALL)
_LOCATOR = re.compile(rb"(?:arn|op|vault|ssm|kms|file|ref|secretsmanager|projects/[^/]+/secrets)[:/].*", re.DOTALL)
"""Where a secret lies, instead of the secret."""
_REFERENCE = re.compile(rb"[a-z0-9-]{1,63}/[a-z0-9.-]{1,253}")
"""Namespace and name of a Kubernetes secret."""
_SOURCE = re.compile(
    rb"(?:[A-Za-z_]\w*\.)*(?:[a-z_]\w*\[|[A-Za-z_]\w*\().*|(?:[A-Za-z_]+\.)+[A-Za-z_]+[,;:)]*|[A-Za-z]*(?:Error|Exception)\W*",
    re.DOTALL,
)
"""Source code as tracebacks show it (`settings.PASSWORD`, `getpass()`), and names of exceptions."""
_MESSAGE = re.compile(rb"""\[?["']?[A-Z][a-z]+(?: [\w,'-]+){3,}\.["']?\]?""")
"""What a form answers about its password field."""
_LEFTOVER = re.compile(rb"[),;\]}]+(?:\s.*|[A-Za-z]+=.*)?", re.DOTALL)
"""What stands behind a quote that closed a text rather than opened a value."""
_LETTERS = re.compile(rb"[A-Za-z'-]+[.,;:!?]*")
_NEXT_WORD = re.compile(rb"[ \t]+[A-Za-z'-]+(?:[ \t.,;!?)]|\Z)")
_AMOUNT = re.compile(rb"[+-]?(?:[0-9]{1,5}|[0-9]+\.[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+)(?:[a-z%]{0,2}|\W{0,4})")
"""A count, an amount, a span of time or the id of a piece of text."""
_COUNTED = frozenset(("api_key", "authorization", "cookie", "credentials", "csrf", "secret", "session", "token"))
_CODES = frozenset(("card", "otp", "pin", "ssn"))


def is_hidden(finding: Finding, name: str, value: bytes) -> bool:
    """Whether the value of this name must be hidden, whatever surrounds it."""
    text = value[:_LOOKED_AT].strip()
    if not text or not text.strip(b"*") or MARKER.fullmatch(text):
        return False
    if not finding.strong:
        return is_encoded(text) if finding.kind == "api_key" else is_opaque(text)
    if finding.kind in _CODES:
        return _is_code(finding.kind, name, text)
    if finding.kind in _COUNTED and _AMOUNT.fullmatch(text):
        return False
    if finding.kind == "password" and _MESSAGE.fullmatch(text) and is_sentence(text.lstrip(b"[\"'")):
        return False
    return not _LOCATOR.fullmatch(text) and (not _PATH.fullmatch(text) or is_encoded(text))


def _is_code(kind: str, name: str, text: bytes) -> bool:
    """Codes made of digits: as many as such a code has."""
    digits = len(text) - len(text.translate(None, b"0123456789"))
    if kind != "card":
        return digits >= (4 if kind == "pin" else 3)
    return digits in (3, 4) if any(word in ("cvv", "cvc", "cvn") for word in words_of(name)) else digits >= 8


def is_placeholder(text: bytes) -> bool:
    """Whether this stands for a value: `***`, `$PASSWORD`, `<password>`, `{{ password }}`, `%s`, `?`."""
    return _PLACEHOLDER.fullmatch(text) is not None


def is_data(finding: Finding, value: bytes) -> bool:
    """Whether a value written in a text stands for itself: no placeholder, state or nothing, nor `Bearer {token}`."""
    text = value[:_LOOKED_AT].strip()
    if finding.kind in ("authorization", "token"):
        text = text.partition(b" ")[2] or text
    return text.lower().rstrip(b".,;:!?)") not in _STATES and not is_placeholder(text) and not _LEFTOVER.fullmatch(text)


def is_sentence(value: bytes) -> bool:
    """Whether several words are something said about a secret."""
    word = value[:_LOOKED_AT].split(maxsplit=1)[0].lower()
    return word in _PROSE or word in _STATES


def is_read_out(finding: Finding, name: str, value: bytes, rest: bytes, *, told: bool, said: bool) -> bool:
    """Whether a value without quotes in running text is meant as one.

    `rest` is what follows it; `told` whether a colon or a verb stands between the two rather than an equals sign, and
    `said` whether it is a verb.
    """
    text = value[:_LOOKED_AT]
    if text.startswith((b"//", b"--")) or _SOURCE.fullmatch(text):
        return False
    if text.rstrip(b",)").lower() in (name.lower().encode(), name.rpartition(".")[2].lower().encode()):
        return False  # password=password: source again
    if finding.kind == "secret" and _REFERENCE.fullmatch(text):
        return False
    if finding.kind == "password" and words_of(name)[-1:] == ["pass"] and _AMOUNT.fullmatch(text):
        return False  # pass=3 fail=0
    if told and (len(words_of(name)) == 1 and words_of(name) == ["pass"]):
        return False  # forward pass: 12ms
    if told and _AMOUNT.fullmatch(text) and _NEXT_WORD.match(rest):
        return False  # password: 12 characters
    if told and _LETTERS.fullmatch(text):
        word = text.lower().rstrip(b".,;:!?")
        return not said and word not in _PROSE and not _NEXT_WORD.match(rest)
    return True
