"""How SQLite goes about a query: a regression that scans or sorts fails here, without timing anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.parse import parse
from monitoring.pipeline.query.rollup import condition, decision
from monitoring.pipeline.query.sql import (
    Compiled,
    Span,
    compile_query,
    count_buckets,
    count_ids,
    count_minutes,
    count_up_to,
    select_boundary,
    select_rows,
    select_spilled,
)
from monitoring.pipeline.store.reader import View
from tests.frames import event
from tests.logstore import LogStore

SPAN = Span(-(1 << 62), 1 << 62, 0, 1 << 62)


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[View]:
    with LogStore(tmp_path_factory.mktemp("store")) as store:
        store.add([event(1), event(2, service="worker", environment="prod", host="h2", logger="db.pool")])
        with store.reader.view(store.catalog.segments("logs")[0].path, Deadline(60)) as found:
            yield found


def compiled(view: View, query: str) -> Compiled:
    return compile_query(parse(query), view)


def plan(view: View, text: str, values: tuple[object, ...]) -> list[str]:
    return [row[3] for row in view.connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize(
    "query",
    ["timeout", "level:error", "service:worker", "level:error service:worker host:h2", '"connection refused"',
     "user_id:42", "trace_id:abc", "-healthcheck", "a OR b", "a -b", "conn*", "logger:db.pool", "message:refused",
     "status:>500", "has:user_id", "level:notice"],
)  # fmt: skip
def test_the_index_leads_in_order_and_rows_are_fetched_by_id(view: View, query: str, newest: bool) -> None:
    statement = select_rows(compiled(view, query), SPAN, newest=newest, limit=100)
    steps = plan(view, *statement)
    order = "<" if newest else ">"
    assert steps[0].startswith("SCAN text VIRTUAL TABLE INDEX ")
    assert "M" in steps[0] and order in steps[0]
    assert steps[1] == "SEARCH log USING INTEGER PRIMARY KEY (rowid=?)"
    assert not any("TEMP B-TREE" in step for step in steps)


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize(
    "query", ["*", "message:/x/", "拒否", "a OR status:>500 OR message:/x/", "-status:>500", "environment:prod"]
)
def test_without_the_index_rows_are_walked_by_id_within_the_range(view: View, query: str, newest: bool) -> None:
    steps = plan(view, *select_rows(compiled(view, query), SPAN, newest=newest, limit=100))
    assert steps[0] == "SEARCH log USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
    assert not any("TEMP B-TREE" in step for step in steps)


@pytest.mark.parametrize("query", ["timeout", "*", "message:/x/", "status:>500"])
def test_the_edge_of_a_chunk_is_looked_up_without_fetching_rows_or_sorting(view: View, query: str) -> None:
    steps = plan(view, *select_boundary(compiled(view, query), SPAN, newest=True, count=500))
    assert len(steps) == 1
    assert "TEMP B-TREE" not in steps[0]


_ALL_LEVELS = "(" + " OR ".join(f'"\ue000l{group}"' for group in range(6)) + ")"


@pytest.mark.parametrize(
    ("query", "match"),
    [
        ("*", None),
        ("timeout", '"timeout"'),
        ("TimeOut", '"TimeOut"'),
        ("level:error", '"\ue000l4"'),
        ("level:>=error", '("\ue000l4" OR "\ue000l5")'),
        ("level:>=trace", None),
        ("timeout -refused", '(("timeout") NOT "refused")'),
        ("timeout -refused -level:debug", '(("timeout") NOT ("refused" OR "\ue000l1"))'),
        ("-refused", f'(({_ALL_LEVELS}) NOT "refused")'),
        ("-refused -level:info", f'(({_ALL_LEVELS}) NOT ("refused" OR "\ue000l2"))'),
        ("a OR -b", f'("a" OR (({_ALL_LEVELS}) NOT "b"))'),
        ("conn*", '"conn" *'),
        ("co*", None),
        ("*fused", None),
        ('"connection refused"', '("connection" AND "refused")'),
        ("拒否", None),
        ("a OR message:/x/", None),
        ("a message:/x/", '"a"'),
        ("a -message:/x/", '"a"'),
        ("trace_id:4bf9*", '"4bf9" *'),
        ("http.method:GET", '("http" AND "method" AND "GET")'),
        ("path:/api/v*", '("path" AND "api")'),
        ("status:>500", '"status"'),
        ("service:absent", None),
    ],
)
def test_the_index_is_asked_for_what_it_can_decide(view: View, query: str, match: str | None) -> None:
    assert compiled(view, query).match == match


@pytest.mark.parametrize("query", ["timeout", "level:error service:worker", "a -b", "conn*"])
def test_counting_by_the_index_looks_at_no_row(view: View, query: str) -> None:
    found = compiled(view, query)
    assert found.match is not None
    assert not found.verified
    for statement in (count_ids(found.match, 1, 9), count_up_to(found.match, 1, 9, 10),
                      count_buckets(found.match, 1, 1, 1, 9)):  # fmt: skip
        steps = plan(view, *statement)
        assert any(step.startswith("SCAN text VIRTUAL TABLE INDEX ") for step in steps)
        assert not any("log" in step for step in steps)


@pytest.mark.parametrize("query", ["*", "level:error", "service:worker -level:notice"])
def test_counting_by_minutes_searches_the_roll_up_alone(view: View, query: str) -> None:
    decides = decision(parse(query))
    assert decides is not None
    where = condition(decides, view.dimensions["service"])
    steps = plan(view, *count_minutes(where, 0, 1, 1, 9))
    assert steps[0] == "SEARCH minute USING PRIMARY KEY (minute>? AND minute<?)"
    assert not any("log" in step or "text" in step for step in steps)


@pytest.mark.parametrize("query", ["timeout", "level:notice", "*"])
def test_rows_next_to_an_edge_are_searched_by_their_ids(view: View, query: str) -> None:
    match = compiled(view, query).match
    *_, last = plan(view, *select_spilled(match, 1, 9))
    assert last.startswith("SEARCH log USING INTEGER PRIMARY KEY")


@pytest.mark.parametrize(
    "query", ["timeout", "level:error", "a OR b -c", "service:worker level:>=warning", "conn*", "NOT (a b)"]
)
def test_what_the_index_decides_alone_is_not_verified_on_rows(view: View, query: str) -> None:
    assert not compiled(view, query).verified


@pytest.mark.parametrize(
    "query", ["service:absent", "environment:absent", "logger:absent", "a service:absent", "-*", "level:>fatal"]
)
def test_what_no_event_of_the_segment_can_match_is_not_even_asked(view: View, query: str) -> None:
    assert compiled(view, query).empty


def test_what_all_events_of_the_segment_match_costs_nothing(view: View) -> None:
    found = compiled(view, "service:/./ -service:absent level:*")
    assert (found.match, found.verified, found.empty) == (None, False, False)


def test_a_key_that_most_events_have_is_not_looked_up_in_the_index(tmp_path: Path) -> None:
    with LogStore(tmp_path) as store:
        store.add([event(number, attributes=f'{{"n":{number},"rare":1}}' if number < 40 else f'{{"n":{number}}}')
                   for number in range(600)])  # fmt: skip
        with store.reader.view(store.catalog.segments("logs")[0].path, Deadline(60)) as view:
            assert compiled(view, "n:>500").match is None
            assert compiled(view, "rare:>0").match == '"rare"'
            assert compiled(view, "n:7").match == '("7" OR ("7" AND "0"))'
        assert len(store.found("n:>=500")) == 100
        assert len(store.found("rare:>0")) == 40
        assert len(store.found("n:7")) == 1
        assert len(store.found("-has:rare n:<50")) == 10


HOSTILE = [
    "'",
    "''; DROP TABLE log; --",
    '"',
    "\\",
    "?",
    "?1",
    ":a",
    "@a",
    "$a",
    "%",
    "_",
    "\x00",
    "NULL",
    ") OR 1=1 --",
    "[",
    "]",
    "*)",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_no_value_or_name_of_a_query_stands_in_the_sql(view: View, value: str) -> None:
    text = f"zq{value}".replace("\\", "\\\\").replace('"', '\\"')
    for form in (
        '"{}"',
        'service:"{}"',
        'message:"{}"',
        '"x{}":"{}"',
        'x:>"{}"',
        'trace_id:"{}"',
        'host:(a OR -"{}")',
        'has:"{}"',
    ):
        found = select_rows(compiled(view, form.replace("{}", text)), SPAN, newest=True, limit=10)
        assert "zq" not in found.text
        assert found.text.count("?") == len(found.values)
        list(view.connection.execute(*found))
