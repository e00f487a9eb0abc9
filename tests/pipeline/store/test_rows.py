"""Rows: ids are the time, unique, and what is indexed is what a user would look for."""

from __future__ import annotations

from collections import namedtuple

import orjson
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.bus.frame import decode_payload
from monitoring.pipeline.store.rows import (
    EPOCH_US,
    ID_SHIFT,
    ROW_COLUMNS,
    TOKEN_MARK,
    Dimensions,
    Rows,
    allocate,
    rows_of,
    timestamp_ns,
)
from tests.frames import T0, Sender, event

Row = namedtuple("Row", ROW_COLUMNS)  # type: ignore[misc]  # the names stand in one place


def rows(events):
    frame = Sender().frame(events)
    payload = decode_payload(frame)
    found = rows_of(frame, payload.columns, payload.events, Dimensions())
    return [Row(*row) for row in zip(*found.columns, strict=True)]


def test_every_value_and_the_dimension_tokens_are_in_the_index_text():
    (row,) = rows([event(7, level=18, exception='"ValueError: no"', span_id="00ab")])
    for part in ("event number 7", f"{7:032x}", "00ab", "ValueError", '{"n":7}', "app.web", f"{TOKEN_MARK}l4"):
        assert part in row.words
    assert row.words.count(TOKEN_MARK) == 3


def test_escapes_in_attributes_do_not_glue_letters_to_words():
    (row,) = rows([event(1, attributes=orjson.dumps({"body": "first\nsecond\tthird"}).decode())])
    assert {"first", "second", "third"} <= set(row.words.split())


def test_users_text_cannot_forge_a_dimension_token():
    forged = f"{TOKEN_MARK}l5"
    for changes in ({"message": forged}, {"attributes": orjson.dumps({"a": forged}).decode()}, {"logger": forged}):
        assert forged not in rows([event(1, **changes), event(2)])[0].words


def test_impossible_times_and_levels_are_moved_into_range():
    made = rows([event(0, timestamp=-5, level=0), event(1, timestamp=T0 + 10**18, level=99)])
    assert [(row.timestamp, row.level) for row in made] == [(0, 1), (T0 + 86_400 * 10**9, 24)]


def test_environment_and_release_are_one_dimension():
    dimensions = Dimensions()
    frame = Sender().frame([event(0, environment="prod", release="1"), event(1, environment="prod"), event(2)])
    payload = decode_payload(frame)
    rows_of(frame, payload.columns, payload.events, dimensions)
    values = [value for _, kind, value in dimensions.take_new() if kind == "resource"]
    assert sorted(values) == ['{"environment":"prod","release":"1"}', '{"environment":"prod"}', "{}"]


@given(st.lists(st.integers(0, 50), max_size=30))
def test_rows_are_put_in_the_order_of_their_times_and_equal_times_keep_theirs(times):
    columns = [[T0 + time for time in times]] + [[(name, n) for n in range(len(times))] for name in ROW_COLUMNS[1:]]
    ordered = list(zip(*Rows(columns).by_time().columns, strict=True)) if times else []
    assert ordered == sorted(zip(*columns, strict=True), key=lambda row: row[0])


def in_use(existing):
    return lambda ids: existing.intersection(ids)


@given(
    existing=st.sets(st.integers(0, 40), max_size=30),
    times=st.lists(st.integers(0, 9000), min_size=1, max_size=60),
)
def test_allocated_ids_rise_are_free_and_keep_the_true_time(existing, times):
    base = (T0 // 1000 - EPOCH_US) << ID_SHIFT
    used = {base + number for number in existing} | {base + (1 << ID_SHIFT) * number for number in existing}
    made = [T0 + nanoseconds for nanoseconds in sorted(times)]
    ids = allocate(made, newest=max(used, default=None), taken=in_use(used), hints={})
    assert len(set(ids)) == len(ids) and ids == sorted(ids) and not used & set(ids)
    for row_id, timestamp in zip(ids, made, strict=True):
        offset = timestamp - ((row_id >> ID_SHIFT) + EPOCH_US) * 1000
        assert timestamp_ns(row_id, offset) == timestamp
        assert row_id >= (timestamp // 1000 - EPOCH_US) << ID_SHIFT


def test_lines_stamped_with_one_second_cost_a_bounded_number_of_lookups():
    used: set[int] = set()
    lookups = 0

    def taken(ids):
        nonlocal lookups
        lookups += len(ids)
        return used.intersection(ids)

    hints: dict[int, int] = {}
    for _ in range(50):
        ids = allocate([T0] * 1000, newest=max(used, default=None), taken=taken, hints=hints)
        assert not used & set(ids)
        used |= set(ids)
    assert len(used) == 50_000
    assert lookups < 10 * 50_000
