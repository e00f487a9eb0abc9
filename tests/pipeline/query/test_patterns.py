"""Messages that differ in what varies have one pattern; every message fits the pattern that it is counted in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.query import sample, templates
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.patterns import Patterns, patterns
from monitoring.pipeline.query.ranges import EARLIEST, LATEST
from monitoring.pipeline.query.templates import VARIABLE, Templates
from tests.frames import event
from tests.logstore import LogStore

_words = st.sampled_from(
    ["user", "login", "failed", "from", "10.0.0.1", "42", "after", "3.5ms", "<*>", "a=1", "ok", "-7"]
)
_messages = st.lists(st.lists(_words, max_size=8).map(" ".join) | st.text(max_size=30), max_size=60)


def fits(template: str, message: str) -> bool:
    wanted = re.escape(template).replace(re.escape(VARIABLE), r"\S*")
    return re.fullmatch(wanted, " ".join(message.split("\n")[0].split())) is not None


@given(_messages)
def test_every_message_fits_its_template_whatever_came_before_and_after(messages: list[str]) -> None:
    found = Templates()
    folded = [found.fold(message) for message in messages]
    for message, template in zip(messages, folded, strict=True):
        assert fits(template.text, message), (template.text, message)


@given(
    st.lists(st.integers(), min_size=1, max_size=20), st.sampled_from(["took {} ms", "user={} failed", "{} of 7 done"])
)
def test_messages_that_differ_in_numbers_only_have_one_template(numbers: list[int], form: str) -> None:
    found = Templates()
    assert len({found.fold(form.format(number)) for number in numbers}) == 1


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (["connection to db-1 lost", "connection to db-22 lost"], ["connection to db-<*> lost"]),
        (["job alpha finished in 3s", "job beta finished in 4s"], ["job <*> finished in <*>s"]),
        (["request 4bf92f3577b34da6 done", "request 00ff92f3577b34da done"], ["request <*> done"]),
        (["id 550e8400-e29b-41d4-a716-446655440000 gone"], ["id <*> gone"]),
        (["model loaded", "cache evicted"], ["cache evicted", "model loaded"]),
        (["at 2026-05-01 10:00:00,123 ok"], ["at <*> <*> ok"]),
        (["utf8 and http2 stay"], ["utf8 and http2 stay"]),
    ],
)  # fmt: skip
def test_templates_read_as_people_would_write_them(messages: list[str], expected: list[str]) -> None:
    found = Templates()
    assert sorted({template.text for template in [found.fold(message) for message in messages * 2]}) == expected


def test_messages_that_are_all_different_cost_no_more_than_so_many_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "MAX_TEMPLATES", 10)
    found = Templates()
    letters = [chr(97 + first) + chr(97 + second) for first in range(26) for second in range(26)]
    folded = {found.fold(f"{letter} {letter} {letter}") for letter in letters}
    assert len(folded) == 11


def told(store: LogStore, query: str, **more: Any) -> Patterns:
    return patterns(store.catalog, store.reader, query, EARLIEST, LATEST, deadline=Deadline(60), **more)


def test_patterns_are_counted_with_when_they_were_seen_and_an_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LogStore(tmp_path) as store:
        store.add([event(number, message=f"job {number} failed", level=17, service="w" if number % 2 else "v")
                   for number in range(20)])  # fmt: skip
        store.roll_over()
        store.add([event(50 + number, message="idle") for number in range(3)])
        found = told(store, "*")
        assert [(each.template.text, each.count) for each in found.patterns] == [("job <*> failed", 20), ("idle", 3)]
        assert (found.distinct, found.events, found.sampled) == (2, 23, False)
        job = found.patterns[0].document()
        events = store.found("job", order="oldest")
        assert (job["first_seen"], job["last_seen"]) == (events[0]["timestamp"], events[-1]["timestamp"])
        assert (job["levels"], job["services"]) == ({"ERROR": 20}, {"w": 10, "v": 10})
        assert job["example"] == {name: events[-1][name] for name in job["example"]}
        assert set(job["example"]) == {"id", "timestamp", "level", "service", "host", "message"}
        assert [each.count for each in told(store, "level:error n:<5").patterns] == [5]
        assert len(told(store, "*", limit=1).patterns) == 1
        monkeypatch.setattr(sample, "MAX_SAMPLE", 10)
        assert (told(store, "*").events, told(store, "*").sampled) == (10, True)
