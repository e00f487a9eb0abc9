"""What holds for any input."""

from __future__ import annotations

import math
import random
from typing import Any

import orjson
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from monitoring.pipeline.events.event import Event
from monitoring.pipeline.redact import Redactor
from tests.pipeline.redact.clean import LINES
from tests.pipeline.redact.contexts import leaks
from tests.pipeline.redact.forms import OPAQUE, PLAIN, QUOTED
from tests.pipeline.redact.secrets import ALNUM, SHAPED, signs

REDACTOR = Redactor()
PIECES = (*LINES, *PLAIN, *QUOTED, *OPAQUE)
GLUE = (
    "",
    " ",
    "\n",
    ",",
    ";",
    "&",
    '"',
    "'",
    "\\",
    "\\n",
    ": ",
    "=",
    '="',
    "[",
    "{",
    ")",
    "\t",
    "%3D",
    "é",
    "\x1e",
    "\ud800",
)

anything = st.text(st.characters(), max_size=200)
seeds = st.integers(0, 2**32)


@st.composite
def logs(draw: Any) -> str:
    """Pieces of logs, cut anywhere, with and without secrets, one after the other."""
    rng = random.Random(draw(seeds))
    found = []
    for _ in range(rng.randrange(1, 5)):
        piece = rng.choice(PIECES).replace("{}", signs(rng, ALNUM, 12))
        if rng.random() < 0.2:
            piece = rng.choice(list(SHAPED.values()))(rng).text
        start, end = sorted(rng.randrange(len(piece) + 1) for _ in range(2))
        found += [piece if rng.random() < 0.5 else piece[start:end], rng.choice(GLUE)]
    return "".join(found)


texts = st.one_of(anything, logs())
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts | st.binary(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(
            st.one_of(texts, st.sampled_from(("password", "token", "headers", "value", "name"))), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(texts)
def test_redacting_twice_equals_redacting_once(text):
    once = REDACTOR.text(text)
    assert REDACTOR.text(once) == once


@settings(max_examples=300, deadline=None)
@given(texts)
def test_json_stays_json_and_hides_what_text_hides(text):
    assume(not any("\ud800" <= sign <= "\udfff" for sign in text))  # JSON has none
    document = orjson.dumps({"a": [text, {"b": text}]}).decode()
    shown = REDACTOR.json(document)
    walked = orjson.loads(shown)
    assert walked["a"][1]["b"] == walked["a"][0]
    assert (walked["a"][0] == text) == (REDACTOR.text(text) == text)
    assert REDACTOR.json(shown) == shown


@settings(max_examples=300, deadline=None)
@given(values)
def test_any_value_can_be_looked_through_and_clean_ones_are_the_same_object(value):
    shown = REDACTOR.value(value)
    assert shown is value or shown != value or _has_nan(value)


def _has_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


@settings(max_examples=200, deadline=None)
@given(texts, texts)
def test_no_way_in_raises_on_any_text(first, second):
    REDACTOR.text(first)
    REDACTOR.json(first)
    REDACTOR.query(first)
    REDACTOR.url(first)
    REDACTOR.headers([(first, second), ("cookie", first), ("set-cookie", second)])
    REDACTOR.events([Event(1, 9, "api", message=first, exception=second, attributes=first)])


@settings(max_examples=300, deadline=None)
@given(seeds, st.text(st.characters(codec="utf-8"), max_size=60), st.text(st.characters(codec="utf-8"), max_size=60))
def test_a_secret_anywhere_in_random_text_is_gone(seed, before, after):
    rng = random.Random(seed)
    example = rng.choice(list(SHAPED.values()))(rng)
    assume(
        not (before[-1:].isascii() and before[-1:].isalnum())
        and not after[:1].isalnum()
        and after[:1] not in ("_", "-")
    )
    assume(before[-1:] not in (".", "-", "_", ",", "/", "+", "=", "%", ":", "$", "~", "@"))  # these would belong to it
    assume(after[:1] not in (".", "-", "_", ",", "/", "+", "=", "%", ":", "$", "~", "@"))
    assert not leaks(example.secret, REDACTOR.text(f"{before}{example.text}{after}"))


@settings(max_examples=100, deadline=None)
@given(st.lists(texts, max_size=8))
def test_a_batch_is_redacted_as_its_texts_are_one_by_one(messages):
    events = [Event(1, 9, "api", message=message) for message in messages]
    assert [event.message for event in REDACTOR.events(events)] == [REDACTOR.text(message) for message in messages]
