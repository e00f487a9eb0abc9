"""What the search language means, said a second time and as plainly as possible.

Strategies draw events, and queries as pairs of text and a naive filter over events. The filters follow
docs/search.md and share nothing with the compiler but the index's tokenizer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import apsw
import orjson
from hypothesis import strategies as st

from monitoring.pipeline.events.event import Event
from tests.frames import T0

_CONNECTION = apsw.Connection(":memory:")
_TOKENIZER = _CONNECTION.fts5_tokenizer("unicode61", ["tokenchars", "_"])

WORDS = [
    "timeout", "Timeout", "time", "out", "connection", "refused", "REFUSED", "café", "cafe\u0301", "Straße", "naïve",
    "user_id", "42", "007", "1.5", "10.0.0.1", "foo-bar", "/api/v1/users", "a", "l2", "NOT", "or",
    "接続が拒否されました", "拒否", "続が", "エラー", "GPT接続", "pt接", "데이터베이스가", "🔥", "=>",
    "ελλάδα", "\x00", "x\ue000l4",
    "tab\there", "quote\"d", "back\\slash",
    "line\nbreak", "4bf92f3577b34da6", "{}", "[1]", "%_", "null", "true", "\u0130", "ǅ", "ﬁ",
]  # fmt: skip
KEYS = ["user_id", "a.b", "a", "tags", "b", "c", "b.c", "weird key", 'quo"te', "é", "service", "x.y.z", ""]
SERVICES = ["api", "worker", "API", "api gateway", "", "接続", "a*b"]
HOSTS = ["h1", "h2", ""]
LOGGERS = ["app.web", "app.db", "timeout.connection", ""]
ENVIRONMENTS = ["", "prod", "staging", "x\ue000"]
IDS = ["", "4bf92f3577b34da6", "4BF92F3577B34DA6", "550e8400-e29b-41d4-a716-446655440000", "42"]
LEVELS = {"trace": (1, 4), "debug": (5, 8), "info": (9, 12), "WARNING": (13, 16), "warn": (13, 16), "Error": (17, 20),
          "fatal": (21, 24), "critical": (21, 24), "notice": (10, 10), "error2": (18, 18), "alert": (22, 22),
          "7": (7, 7)}  # fmt: skip

# Events.

_texts = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)
_numbers = st.one_of(
    st.sampled_from([0, 1, 42, -5, 499, 500, 501, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1]),
    st.sampled_from([0.0, 1.5, 42.0, -5.0, 499.99, 500.0, 1e16, 1e300, 1e-7, -0.0, 9.223372036854776e18]),
    st.integers(-1000, 1000),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
)
_COMMON = [42, 42.0, "42", "42.0", 1e16, 10**16, "1e16", 500, 500.0, "500", True, "true", "timeout", "time out", "a*b"]
"""Values that look alike in some way."""
_scalars = st.one_of(st.sampled_from(_COMMON), st.sampled_from(_COMMON), _texts, _numbers, st.booleans(), st.none(),
                     st.sampled_from(["1e3", "/api/users", "/api/users/7", "4 2", " 42", "-5"]))  # fmt: skip
_values = st.one_of(
    _scalars, _scalars, st.lists(_scalars, max_size=3), st.dictionaries(st.sampled_from(KEYS), _scalars, max_size=2)
)
_keys = st.one_of(st.sampled_from(KEYS[:4]), st.sampled_from(KEYS))
_objects = st.dictionaries(_keys, _values, max_size=4)


def _escaped(value: Any) -> str:
    """JSON as a writer that keeps to ASCII writes it."""
    return json.dumps(value)


@st.composite
def _events(draw: st.DrawFn) -> Event:
    dump: Callable[[Any], str] = draw(st.sampled_from([lambda value: orjson.dumps(value).decode(), _escaped]))
    attributes = draw(_objects)
    exception = draw(st.one_of(st.none(), st.none(), _texts, st.fixed_dictionaries({"type": _texts, "stack": _texts})))
    pick = lambda values: draw(st.sampled_from(values))  # noqa: E731 - shorter than its name a dozen times
    return Event(
        timestamp=T0 + draw(st.integers(0, 40)) * 500, level=draw(st.integers(1, 24)), service=pick(SERVICES),
        environment=pick(ENVIRONMENTS), logger=pick(LOGGERS), host=pick(HOSTS),
        message=draw(_texts), trace_id=pick(IDS), span_id=pick(IDS), request_id=pick(IDS),
        exception="" if exception is None else dump(exception), attributes=dump(attributes) if attributes else "",
    )  # fmt: skip


events = st.lists(_events(), min_size=1, max_size=25).map(
    lambda drawn: [event._replace(release=str(number)) for number, event in enumerate(drawn)]
)
"""Some events, each with its number as its release: the one field that no query asks for."""

_UNITS = [500, 1_000_000, 333_333_333, 7_000_000_000, 61_000_000_000, 3_600_000_000_000]
spread_events = st.tuples(events, st.sampled_from(_UNITS)).map(
    lambda drawn: [
        event._replace(timestamp=T0 + (event.timestamp - T0) // 500 * drawn[1] + 13 * number)
        for number, event in enumerate(drawn[0])
    ]
)
"""The same over times from microseconds to days."""

# Texts and words.


def tokens(text: str) -> list[str]:
    found: Any = _TOKENIZER(
        text.encode(), apsw.FTS5_TOKENIZE_DOCUMENT, None, include_offsets=False, include_colocated=False
    )
    return list(found)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value if isinstance(value, str) else orjson.dumps(value).decode()


def texts_of(event: Event, fields: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    for name in fields:
        value = getattr(event, name)
        found += _leaves(orjson.loads(value)) if name in ("exception", "attributes") and value else [value]
    return [text.replace("\ue000", "") for text in found]


ALL_TEXTS = ("message", "trace_id", "span_id", "request_id", "logger", "exception", "attributes")
_UNSPLIT = re.compile("[\u3000-\u9fff\uac00-\ud7ff]")
_STAR = "\U0010fffd"


def _token_regexes(parts: list[str]) -> list[str]:
    """A regex for each token of a word whose parts stand between stars."""
    pieces = tokens(_STAR.join(part.replace("\ue000", "") for part in parts))
    while len(pieces) > 1 and pieces[-1] == _STAR:
        pieces.pop()
    while len(pieces) > 1 and pieces[0] == _STAR:
        pieces.pop(0)
    if pieces == [_STAR]:
        return []
    if pieces and _UNSPLIT.search(pieces[0]):
        pieces[0] = _STAR + pieces[0]
    if pieces and _UNSPLIT.search(pieces[-1]):
        pieces[-1] += _STAR
    return [re.escape(piece).replace(_STAR, ".*") for piece in pieces]


def contains(texts: list[str], parts: list[str]) -> bool:
    wanted = _token_regexes(parts)
    literal = "".join(parts).replace("\ue000", "")
    for text in texts:
        if not wanted:
            if literal in text:
                return True
            continue
        found = tokens(text)
        for start in range(len(found) - len(wanted) + 1):
            window = found[start : start + len(wanted)]
            if all(re.fullmatch(regex, token, re.DOTALL) for regex, token in zip(wanted, window, strict=True)):
                return True
    return False


# Attributes.


def lookup(value: Any, name: str) -> Iterator[Any]:
    """Every value that a dotted name leads to."""
    if isinstance(value, dict):
        if name in value:
            yield value[name]
        for position, char in enumerate(name):
            if char == "." and name[:position] in value and 0 < position < len(name) - 1:
                yield from lookup(value[name[:position]], name[position + 1 :])


def items(event: Event, name: str) -> Iterator[Any]:
    for value in lookup(orjson.loads(event.attributes or "{}"), name):
        yield from value if isinstance(value, list) else [value]


def spelled(value: Any) -> str | None:
    if value is None or isinstance(value, dict | list):
        return None
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def read_number(text: str) -> int | float | None:
    """The number that a string is, as strict JSON has it; blanks around it are allowed."""
    try:
        value = json.loads(text, parse_constant=lambda _: None)
    except ValueError:
        return None
    return value if is_number(value) else None


def equals(value: Any, text: str) -> bool:
    if spelled(value) == text:
        return True
    number = read_number(text)
    if not is_number(value) or number is None or not (-(2**63) <= number < 2**63 or isinstance(number, float)):
        return False
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return False
    return bool(value == number)


def as_number(value: Any) -> int | float | None:
    number = read_number(value) if isinstance(value, str) else value if is_number(value) else None
    if isinstance(number, int) and not -(2**63) <= number < 2**63:
        return float(number)
    return number


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">": lambda a, b: a > b, ">=": lambda a, b: a >= b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
}  # fmt: skip


# Queries.


class Query(NamedTuple):
    text: str
    fits: Callable[[Event], bool]


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def escaped(text: str) -> str:
    """A word that means itself, wherever a word may stand."""
    return re.sub(r'([*()":\\/<>. -])', r"\\\1", text)


_plain_words = [word for word in WORDS if not re.search(r"\s", word) and word not in ("NOT",)]


@st.composite
def _words(draw: st.DrawFn) -> Query:
    if draw(st.booleans()):
        phrase = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join))
        if not phrase.strip():
            return Query(quoted(phrase), lambda event: True)
        return Query(quoted(phrase), lambda event: contains(texts_of(event, ALL_TEXTS), [phrase]))
    word = draw(st.sampled_from(_plain_words))
    return Query(escaped(word), lambda event: contains(texts_of(event, ALL_TEXTS), [word]))


@st.composite
def _parts(draw: st.DrawFn) -> list[str]:
    """The parts of a word with one or two stars."""
    word = draw(st.sampled_from([word for word in _plain_words if len(word) > 1]))
    cut = draw(st.integers(0, len(word)))
    parts = draw(st.sampled_from([[word[:cut], ""], ["", word[cut:]], [word[:1], word[cut:]], ["", word[1:cut], ""]]))
    return parts if any(parts) else ["", "a"]


@st.composite
def _wild_words(draw: st.DrawFn) -> Query:
    parts = draw(_parts())
    return Query("*".join(map(escaped, parts)), lambda event: contains(texts_of(event, ALL_TEXTS), parts))


@st.composite
def _levels(draw: st.DrawFn) -> Query:
    name, (low, high) = draw(st.sampled_from(sorted(LEVELS.items())))
    operator = draw(st.sampled_from(["", ">", ">=", "<", "<="]))
    test = {
        "": lambda level: low <= level <= high,
        ">": lambda level: level > high,
        ">=": lambda level: level >= low,
        "<": lambda level: level < low,
        "<=": lambda level: level <= high,
    }[operator]
    return Query(f"level:{operator}{name}", lambda event: test(event.level))


_EXACT = {
    "service": SERVICES, "host": HOSTS, "logger": LOGGERS, "environment": ENVIRONMENTS,
    "trace_id": IDS, "span_id": IDS, "request_id": IDS,
}  # fmt: skip


def _globbed(parts: list[str]) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, parts)), re.DOTALL)


@st.composite
def _exact(draw: st.DrawFn) -> Query:
    name = draw(st.sampled_from(sorted(_EXACT)))
    value = draw(st.sampled_from([*_EXACT[name], "absent"]))
    kind = draw(st.sampled_from(["is", "list", "glob", "regex", "has"]))
    if kind == "has":
        return Query(f"has:{name}", lambda event: getattr(event, name) != "")
    if kind == "regex":
        return Query(f"{name}:/^[4a].*[b0-9]/", lambda event: bool(re.search("^[4a].*[b0-9]", getattr(event, name))))
    if kind == "glob" and value:
        parts = [value[:2], ""] if draw(st.booleans()) else ["", value[-2:]]
        regex = _globbed(parts)
        return Query(
            f"{name}:" + "*".join(map(escaped, parts)), lambda event: bool(regex.fullmatch(getattr(event, name)))
        )
    if kind == "list":
        other = draw(st.sampled_from(_EXACT[name]))
        text = f"{name}:({quoted(value)} OR {quoted(other)})"
        return Query(text, lambda event: getattr(event, name) in (value, other))
    return Query(f"{name}:{quoted(value)}", lambda event: getattr(event, name) == value)


@st.composite
def _text_fields(draw: st.DrawFn) -> Query:
    name = draw(st.sampled_from(["message", "exception"]))
    kind = draw(st.sampled_from(["words", "phrase", "glob", "regex", "has"]))
    if kind == "has":
        return Query(f"has:{name}", lambda event: getattr(event, name) != "")
    if kind == "regex":
        regex = draw(st.sampled_from(["time(out)?", "^conn", "refused$", r"\d+\.\d", "拒否", r"a\/b|v1"]))
        search = re.compile(regex.replace("\\/", "/")).search
        return Query(f"{name}:/{regex}/", lambda event: any(map(search, texts_of(event, (name,)))))
    if kind == "glob":
        parts = draw(_parts())
        return Query(
            f"{name}:" + "*".join(map(escaped, parts)), lambda event: contains(texts_of(event, (name,)), parts)
        )
    words = draw(st.lists(st.sampled_from(_plain_words), min_size=1, max_size=1 if kind == "words" else 3))
    text = " ".join(words)
    return Query(f"{name}:{quoted(text)}", lambda event: contains(texts_of(event, (name,)), [text]))


def _named(name: str) -> str:
    if re.fullmatch(r"[a-z_.]+", name) and name != "service":
        return name
    return quoted("attributes." + name if name == "service" else name)


@st.composite
def _attributes(draw: st.DrawFn) -> Query:
    name = draw(_keys.filter(bool) | st.sampled_from(["a.b.c", "tags.a", "absent"]))
    kind = draw(st.sampled_from(["is", "is", "compare", "range", "texts", "glob", "regex", "has"]))
    field = _named(name)
    if kind == "has":
        wanted = "attributes.service" if name == "service" else name
        return Query(
            f"has:{quoted(wanted)}",
            lambda event: any(value is not None for value in lookup(orjson.loads(event.attributes or "{}"), name)),
        )
    if kind == "glob":
        parts = draw(_parts())
        regex = _globbed(parts)
        return Query(
            f"{field}:" + "*".join(map(escaped, parts)),
            lambda event: any(
                regex.fullmatch(text) for item in items(event, name) if (text := spelled(item)) is not None
            ),
        )
    if kind == "regex":
        search = re.compile(r"^[4t/].*[0-9es]").search
        return Query(
            f"{field}:/^[4t\\/].*[0-9es]/",
            lambda event: any(search(text) for item in items(event, name) if (text := spelled(item)) is not None),
        )
    if kind == "texts":
        operator, bound = draw(st.sampled_from(sorted(_COMPARE))), draw(st.sampled_from(["a", "c", "time", "接"]))
        compare = _COMPARE[operator]
        return Query(
            f"{field}:{operator}{bound}",
            lambda event: any(compare(item, bound) for item in items(event, name) if isinstance(item, str)),
        )
    number = draw(_numbers)
    text = orjson.dumps(number).decode() if -(2**63) <= number < 2**64 else str(number)
    if kind == "is":
        text = draw(st.one_of(st.just(text), _scalars.map(lambda value: spelled(value) or "42")))
        return Query(f"{field}:{quoted(text)}", lambda event: any(equals(item, text) for item in items(event, name)))
    low = as_number(number)
    assert low is not None
    if kind == "range":
        upper = orjson.dumps(as_number(low + draw(st.integers(0, 1000)) if abs(low) < 2**62 else low)).decode()
        high = as_number(upper)
        assert high is not None
        return Query(f"{field}:{text}..{upper}", _number_test(name, lambda value: low <= value <= high))
    operator = draw(st.sampled_from(sorted(_COMPARE)))
    compare = _COMPARE[operator]
    return Query(f"{field}:{operator}{text}", _number_test(name, lambda value: compare(value, low)))


def _number_test(name: str, fits: Callable[[int | float], bool]) -> Callable[[Event], bool]:
    return lambda event: any(fits(value) for item in items(event, name) if (value := as_number(item)) is not None)


_everything = st.just(Query("*", lambda event: True))
_terms = st.one_of(
    _words(), _words(), _wild_words(), _levels(), _exact(), _text_fields(), _attributes(), _attributes(), _everything
)


def _combined(inner: st.SearchStrategy[Query]) -> st.SearchStrategy[Query]:
    pairs = st.tuples(inner, inner)
    return st.one_of(
        st.tuples(pairs, st.sampled_from([" ", " AND "])).map(
            lambda drawn: Query(f"({drawn[0][0].text}){drawn[1]}({drawn[0][1].text})", _both(*drawn[0]))
        ),
        pairs.map(lambda pair: Query(f"({pair[0].text}) OR ({pair[1].text})", _either(*pair))),
        st.tuples(inner, st.sampled_from(["-", "NOT "])).map(
            lambda drawn: Query(f"{drawn[1]}({drawn[0].text})", _none(drawn[0]))
        ),
    )


def _both(left: Query, right: Query) -> Callable[[Event], bool]:
    return lambda event: left.fits(event) and right.fits(event)


def _either(left: Query, right: Query) -> Callable[[Event], bool]:
    return lambda event: left.fits(event) or right.fits(event)


def _none(query: Query) -> Callable[[Event], bool]:
    return lambda event: not query.fits(event)


queries = st.recursive(_terms, _combined, max_leaves=5)
