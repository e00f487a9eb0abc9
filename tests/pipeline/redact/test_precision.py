"""Clean logs stay as they are."""

from __future__ import annotations

import random

import orjson
import pytest

from monitoring.pipeline.events.event import Event
from monitoring.pipeline.redact import Redactor
from tests.pipeline.redact.clean import DOCUMENTS, LINES, documents, generated

PRECISION = 0.99
"""At least so many lines must stay as they are; the promise is 95 of 100."""


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor()


def test_ninety_nine_of_a_hundred_clean_lines_stay_as_they_are(redactor):
    lines = [*LINES, *generated(random.Random(11), 600)]
    changed = [(line, shown) for line in lines if (shown := redactor.text(line)) != line]
    assert len(set(LINES)) >= 400
    assert len(changed) <= (1 - PRECISION) * len(lines), changed


def test_clean_attributes_stay_the_same_object(redactor):
    for document in (*DOCUMENTS, *documents(random.Random(12), 300)):
        text = orjson.dumps(document).decode()
        assert redactor.json(text) is text
        assert redactor.value(document) is document


def test_clean_lines_as_json_stay_as_they_are(redactor):
    for line in LINES:
        text = orjson.dumps({"line": line}).decode()
        assert redactor.json(text) is text


def test_clean_events_are_the_same_objects(redactor):
    rng = random.Random(13)
    events = [
        Event(1, 9, "api", message=line, attributes=orjson.dumps(document).decode())
        for line, document in zip(generated(rng, 300), documents(rng, 300), strict=True)
    ]
    assert all(before is after for before, after in zip(events, redactor.events(events), strict=True))


def test_what_surrounds_a_secret_stays(redactor):
    assert redactor.text("user=bob password=hunter2 host=db") == "user=bob password=[REDACTED:password] host=db"
    assert (
        redactor.text("postgres://bob:hunter2@db:5432/x?a=1") == "postgres://bob:[REDACTED:url_password]@db:5432/x?a=1"
    )
    assert redactor.text("Config(user='a', password='b c', port=1)") == (
        "Config(user='a', password='[REDACTED:password]', port=1)"
    )
    assert redactor.text("Authorization: Bearer abc123def user=7") == "Authorization: [REDACTED:authorization] user=7"
    assert redactor.json('{"a":1,"db":{"password":"x","port":5432}}') == (
        '{"a":1,"db":{"password":"[REDACTED:password]","port":5432}}'
    )
