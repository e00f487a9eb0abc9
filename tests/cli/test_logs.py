"""`monitoring logs`: what it prints, where it looks, and that following shows everything once."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.cli import main
from monitoring.cli.lines import event_lines
from monitoring.cli.sources import Found
from monitoring.pipeline.query import follow
from monitoring.pipeline.query.follow import WINDOW_NS, Follower
from monitoring.pipeline.query.search import Order
from monitoring.pipeline.settings import TABLE
from tests.frames import T0, event
from tests.instance import Instance
from tests.logstore import LogStore

SECOND = 1_000_000_000
SINCE = ("--since", "2020-01-01")


def run(*arguments: str, env: dict[str, str], color: bool = False) -> Result:
    clean = dict.fromkeys(["REDIS_URL", *(row.name for row in TABLE)])
    return CliRunner().invoke(main, ["logs", *arguments], env={**clean, **env}, color=color)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LogStore]:
    with LogStore(tmp_path / "data", partitions=2) as made:
        yield made


def here(store: LogStore) -> dict[str, str]:
    return {"MONITORING_DATA_DIR": str(store.directory)}


def test_an_event_is_a_line_with_its_attributes_and_an_indented_exception(store: LogStore) -> None:
    store.add([event(1, level=17, message="failed\nbadly", attributes='{"user_id":42,"path":"/a b","n":{"x":1}}',
                     exception='"Traceback:\\n  raise ValueError"')])  # fmt: skip
    result = run(*SINCE, env=here(store))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        '2026-09-21T14:13:20.000Z ERROR   api failed user_id=42 path="/a b" n={"x":1} trace_id=' + f"{1:032x}",
        "    badly",
        "    Traceback:",
        "      raise ValueError",
    ]


def test_the_newest_come_first_unless_told_otherwise_and_the_limit_keeps_the_first(store: LogStore) -> None:
    store.add([event(number, message=f"m{number}") for number in range(2500)])
    assert [line.split()[3] for line in run(*SINCE, "--limit", "2", env=here(store)).stdout.splitlines()] == [
        "m2499",
        "m2498",
    ]
    oldest = run(*SINCE, "--limit", "2", "--oldest-first", env=here(store))
    assert [line.split()[3] for line in oldest.stdout.splitlines()] == ["m0", "m1"]
    assert len(run(*SINCE, "--limit", "2400", env=here(store)).stdout.splitlines()) == 2400


def test_for_programs_each_line_is_an_event_as_the_api_shows_it(store: LogStore) -> None:
    store.add([event(1), event(2, service="worker")])
    result = run("service:worker", "event", *SINCE, "--json", env=here(store))
    (found,) = map(json.loads, result.stdout.splitlines())
    assert found == store.found("service:worker")[0]


def test_a_damaged_segment_is_named_and_the_rest_is_shown(store: LogStore) -> None:
    store.add([event(1, message="damaged")])
    store.roll_over()
    store.add([event(number, message=f"m{number}") for number in range(2, 1502)])
    store.catalog.segments("logs")[0].path.write_bytes(b"no database" * 1000)
    result = run(*SINCE, "--limit", "5000", env=here(store))
    assert len(result.stdout.splitlines()) == 1500
    assert "not all could be read: segment p0/000001" in result.stderr


def test_a_range_has_a_beginning_and_an_end(store: LogStore) -> None:
    store.add([event(0, message="early"), event(0, timestamp=T0 + SECOND, message="late")])
    until = run("--since", "2026-09-21T14:13:20Z", "--until", "2026-09-21T14:13:21Z", env=here(store))
    assert "early" in until.stdout
    assert "late" not in until.stdout
    assert "late" in run("--since", "1790000001", env=here(store)).stdout


def test_an_empty_answer_says_what_was_searched_and_what_to_try(store: LogStore) -> None:
    store.add([event(1)])
    result = run("nothing", "--since", "-15m", env=here(store))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no event matches nothing from 20" in result.stderr
    assert "--since 7d" in result.stderr


def test_a_word_that_looks_like_an_operator_is_told(store: LogStore) -> None:
    result = run("nothing", "or", "event", env=here(store))
    assert result.exit_code == 0
    assert '"or" is searched for as a word: write OR' in result.stderr


def test_a_syntax_error_shows_the_query_with_a_caret_at_the_column(store: LogStore) -> None:
    result = run("接続", "level:eror", env=here(store))
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "monitoring: column 10: no level eror (did you mean ERROR?)",
        "  接続 level:eror",
        "             ^",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--since", "yesterday"],
        ["--jsno"],
        ["--limit", "0"],
        ["--follow", "--until", "now"],
        ["--follow", "--histogram"],
        ["--since", "5m", "--until", "10m"],
        ["--export", "xml"],
        ["--stats", "median(x)"],
        ["--facets", "a,,b"],
        ["--follow", "--context", "3"],
        ["--histogram", "--buckets", "0"],
    ],
)
def test_wrong_usage_is_said_and_ends_with_two(store: LogStore, arguments: list[str]) -> None:
    result = run(*arguments, env=here(store))
    assert result.exit_code == 2
    assert "Error:" in result.stderr


def test_a_query_may_begin_with_a_minus(store: LogStore) -> None:
    store.add([event(1, message="healthcheck"), event(2, message="real work")])
    shown = run("-healthcheck", *SINCE, "--json", env=here(store))
    assert [json.loads(line)["message"] for line in shown.stdout.splitlines()] == ["real work"]


def test_levels_are_coloured_on_a_terminal_only(store: LogStore) -> None:
    store.add([event(1, level=17)])
    assert "\x1b[31m" in run(*SINCE, color=True, env=here(store)).stdout
    assert "\x1b" not in run(*SINCE, env=here(store)).stdout


@given(st.text(), st.text(), st.text())
def test_no_text_of_an_event_can_act_on_the_terminal(message: str, key: str, stack: str) -> None:
    shown = click.unstyle(event_lines({
        "timestamp": "2026-05-01T10:00:00.000000000Z", "level": "INFO", "service": "\x1b]0;x\x07", "message": message,
        "attributes": {key: "\x1b[2J" + message}, "trace_id": "", "request_id": "\x9b31m",
        "exception": {"stack": stack},
    }))  # fmt: skip
    assert not {char for char in shown if ord(char) < 32 or 127 <= ord(char) < 160} - {"\n", "\t"}


def test_without_any_instance_it_says_what_to_set(tmp_path: Path) -> None:
    result = run("x", env={"MONITORING_DATA_DIR": str(tmp_path)})
    assert result.exit_code == 2
    assert "MONITORING_URL" in result.stderr


def test_over_http_it_finds_the_same(instance: Instance, remote: dict[str, str]) -> None:
    instance.post(b'{"message":"one","user":7}\n{"message":"two","level":"error"}')
    with instance.draining():
        instance.messages(2)
    local = {"MONITORING_DATA_DIR": str(instance.data), "MONITORING_BUS_URL": instance.url}
    for arguments in ([], ["user:7"], ["level:error", "--json"], ["--limit", "1", "--oldest-first"], ["nothing"]):
        here, there = run(*arguments, *SINCE, env=local), run(*arguments, *SINCE, env=remote)
        assert (here.exit_code, here.stdout) == (there.exit_code, there.stdout) == (0, here.stdout)
    assert run("level:x", env=remote).exit_code == 2


def test_what_is_still_on_its_way_is_said(instance: Instance) -> None:
    waiting = instance.streams
    assert waiting.oldest_created("logs", 0) is None
    local = {"MONITORING_DATA_DIR": str(instance.data), "MONITORING_BUS_URL": instance.url}
    assert "on its way" not in run(*SINCE, env=local).stderr
    instance.streams.client.xadd("monitoring:{logs:0}", {"created": str(T0 - SECOND)})
    assert "what was sent after 2026-09-21T14:13:19Z may still be on its way" in run(*SINCE, env=local).stderr


def test_events_are_shown_among_their_neighbours_and_groups_are_told_apart(
    instance: Instance, remote: dict[str, str]
) -> None:
    instance.post(b"\n".join(
        b'{"message":"m%02d","service":"%s","time":%d}' % (at, b"api" if at % 4 else b"other", T0 // SECOND + at)
        for at in range(40)
    ))  # fmt: skip
    with instance.draining():
        instance.messages(40)
    local = {"MONITORING_DATA_DIR": str(instance.data), "MONITORING_BUS_URL": instance.url}
    for environment in (local, remote):
        lines = run("m10 OR m30", *SINCE, "--context", "2", env=environment).stdout.splitlines()
        assert [line.split()[3] if line != "--" else line for line in lines] == [
            "m27", "m29", "m30", "m31", "m33", "--", "m07", "m09", "m10", "m11", "m13"
        ]  # fmt: skip


def test_a_histogram_has_a_bar_for_every_bucket_and_is_the_same_over_http(
    instance: Instance, remote: dict[str, str]
) -> None:
    instance.post(b"\n".join(
        b'{"message":"m","level":"%s","time":%d}' % (level, T0 // SECOND + at)
        for level, at in [(b"info", 0)] * 8 + [(b"error", 0)] * 8 + [(b"info", 120)] * 4
    ))  # fmt: skip
    with instance.draining():
        instance.messages(20)
    local = {"MONITORING_DATA_DIR": str(instance.data), "MONITORING_BUS_URL": instance.url, "COLUMNS": "44"}
    arguments = ("--histogram", "--since", str(T0 // SECOND - 20), "--until", str(T0 // SECOND + 160), "--buckets", "3")
    for environment in (local, {**remote, "COLUMNS": "44"}):
        lines = run(*arguments, env=environment).stdout.splitlines()
        assert lines == ["2026-09-21 14:13Z  16  ████████████████████", "2026-09-21 14:14Z   0",
                         "2026-09-21 14:15Z   4  █████"]  # fmt: skip
        document = json.loads(run(*arguments, "--json", env=environment).stdout)
        assert set(document) == {"interval_seconds", "buckets"}
        assert [bucket["total"] for bucket in document["buckets"]] == [16, 0, 4]
    coloured = run(*arguments, env=local, color=True).stdout.splitlines()[0]
    assert "\x1b[31m" + "█" * 10 in coloured
    assert "\x1b[32m" + "█" * 10 in coloured


def test_facets_are_tables_of_the_commonest_values(instance: Instance, remote: dict[str, str]) -> None:
    instance.post(b"\n".join(
        b'{"message":"m","service":"%s","user":%d}' % (service, user)
        for service, user in [(b"api", 1)] * 5 + [(b"api", 2)] * 2 + [(b"job", 3)]
    ))  # fmt: skip
    with instance.draining():
        instance.messages(8)
    local = {"MONITORING_DATA_DIR": str(instance.data), "MONITORING_BUS_URL": instance.url}
    for environment in (local, remote):
        shown = run("--facets", "service,user", "--limit", "2", env=environment).stdout.splitlines()
        assert shown == [
            "service  events  share", "api           7  87.5%", "job           1  12.5%", "8 events", "",
            "user  events  share", "1          5  62.5%", "2          2  25.0%", "8 events; 1 more values",
        ]  # fmt: skip
        assert json.loads(run("--facets", "user", "--json", env=environment).stdout)["facets"][0]["distinct"] == 3


def test_statistics_are_a_table_with_a_group_a_line(instance: Instance, remote: dict[str, str]) -> None:
    instance.post(b"\n".join(
        b'{"message":"m","service":"%s","ms":%d}' % (b"api" if number % 4 else b"job", number) for number in range(41)
    ))  # fmt: skip
    with instance.draining():
        instance.messages(41)
    local = {"MONITORING_DATA_DIR": str(instance.data), "MONITORING_BUS_URL": instance.url}
    for environment in (local, remote):
        shown = run("--stats", "count, p50(ms),max(ms)", "--by", "service", env=environment).stdout.splitlines()
        assert shown == ["service  count  p50(ms)  max(ms)", "api         30       20       39",
                         "job         11       20       40"]  # fmt: skip
        more = run("--stats", "count", "--by", "ms", "--limit", "1", env=environment).stdout.splitlines()
        assert more[-1] == "40 more groups"


def test_patterns_are_a_line_each(instance: Instance, remote: dict[str, str]) -> None:
    instance.post(b"\n".join(
        b'{"message":"job %d failed","level":"error","time":%d}' % (at, T0 // SECOND + at) for at in range(12)
    ))  # fmt: skip
    with instance.draining():
        instance.messages(12)
    local = {"MONITORING_DATA_DIR": str(instance.data), "MONITORING_BUS_URL": instance.url}
    for environment in (local, remote):
        assert run(*SINCE, "--patterns", env=environment).stdout.splitlines() == [
            "12  2026-09-21T14:13:20Z - 2026-09-21T14:13:31Z  ERROR   job <*> failed", "12 events"
        ]  # fmt: skip


def test_an_export_is_everything_the_oldest_first(store: LogStore) -> None:
    store.add([event(number, message=f"a,{number}") for number in range(2500)])
    found = run(*SINCE, "--export", "ndjson", env=here(store)).stdout.splitlines()
    assert [json.loads(line)["message"] for line in found] == [f"a,{number}" for number in range(2500)]
    rows = list(csv.DictReader(io.StringIO(run("n:<3", *SINCE, "--export", "csv", env=here(store)).stdout)))
    assert [(row["message"], row["attributes"]) for row in rows] == [(f"a,{n}", f'{{"n":{n}}}') for n in range(3)]
    store.roll_over()
    store.add([event(9999)])
    store.catalog.segments("logs")[0].path.write_bytes(b"no database" * 1000)
    broken = run(*SINCE, "--export", "csv", env=here(store))
    assert (broken.exit_code, len(broken.stdout.splitlines())) == (1, 2)
    assert "not whole" in broken.stderr


# Following.


class _Store:
    """A store behind the interface that following uses, with a bus that says how far it is complete."""

    def __init__(self, store: LogStore) -> None:
        self.store = store
        self.complete: int | None = None

    def page(self, query: str, start: int, end: int, *, order: Order, limit: int, cursor: str | None) -> Found:
        page = self.store.page(query, start=start, end=end, order=order, limit=min(limit, 7), cursor=cursor)
        return Found(page.events, page.next_cursor, page.partial_reason)

    def count(self, query: str, start: int) -> int:
        return len(self.store.found(query, start=start))

    def complete_through(self) -> int | None:
        return self.complete


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),  # seconds that pass
            st.lists(st.tuples(st.integers(0, 50), st.integers(0, 1)), max_size=5),  # lateness, partition
            st.integers(0, 50) | st.none(),  # how far the store lags, where the bus tells
        ),
        max_size=12,
    ),
    st.integers(1, 3),
)
def test_following_shows_every_event_once_however_late_within_a_minute_it_arrives(moves: Any, limit: int) -> None:
    with tempfile.TemporaryDirectory() as directory, LogStore(Path(directory), partitions=2) as store:
        now, sent = T0, 0
        source = _Store(store)
        store.add([event(0, timestamp=T0 - second * SECOND, message=f"old {second}") for second in (90, 50, 1)])
        follower = Follower(source, "*", lambda: now)
        shown = [found["message"] for found in follower.begin(T0 - 100 * SECOND, limit)]
        assert shown == ["old 90", "old 50", "old 1"][-limit:]
        shown.clear()
        for seconds, arrivals, lag in moves:
            now += seconds * SECOND
            for late, partition in arrivals:
                # What a bus says is true: nothing that it knows of arrives older than it is complete.
                late = late if lag is None else min(late, lag)
                store.add([event(0, timestamp=now - late * SECOND, message=f"new {sent}")], partition=partition)
                sent += 1
            shown += [found["message"] for found in follower.look()]
            source.complete = None if lag is None else now - lag * SECOND
        for _ in range(4):
            now += 2 * SECOND
            shown += [found["message"] for found in follower.look()]
        assert sorted(shown) == sorted(f"new {number}" for number in range(sent))


def test_following_forgets_what_no_look_can_meet_again(store: LogStore) -> None:
    now = T0
    follower = Follower(_Store(store), "*", lambda: now)
    follower.begin(T0, 1)
    for step in range(40):
        store.add([event(0, timestamp=now, message=str(step))])
        assert [found["message"] for found in follower.look()] == [str(step)]
        now += 10 * SECOND
    assert len(follower._seen) <= 3 * WINDOW_NS // (10 * SECOND) + 1


def test_who_reads_too_slowly_is_shown_the_newest_and_told_how_many_were_left_out(
    store: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "MOST_EVENTS", 10)
    follower = Follower(_Store(store), "*", lambda: T0)
    follower.begin(T0, 1)
    store.add([event(number, message=str(number)) for number in range(3000)])
    shown = [found["message"] for found in follower.look()]
    assert follower.missed + len(shown) == 3000
    assert shown == [str(number) for number in range(3000 - len(shown), 3000)]
    store.add([event(3000, message="next")])
    assert [found["message"] for found in follower.look()] == ["next"]
    assert follower.missed == 0


def test_the_memory_of_what_was_seen_is_bounded_and_nothing_is_shown_twice(
    store: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "MOST_SEEN", 50)
    now = T0
    follower = Follower(_Store(store), "*", lambda: now)
    follower.begin(T0, 1)
    shown = []
    for step in range(60):
        store.add([event(0, timestamp=now, message=f"{step} {number}") for number in range(10)])
        shown += [found["message"] for found in follower.look()]
        assert len(follower._seen) <= 60
        now += SECOND // 10
    assert shown == [f"{step} {number}" for step in range(60) for number in range(10)]


def test_following_goes_on_where_a_reader_stopped_with_nothing_lost(store: LogStore) -> None:
    now = T0
    first = Follower(_Store(store), "*", lambda: now)
    first.begin(T0, 1)
    for number in range(5):
        store.add([event(0, timestamp=now, message=str(number))])
        first.look()
        now += SECOND
    position = first.position
    store.add([event(0, timestamp=now, message="while away")])
    second = Follower(_Store(store), "*", lambda: now)
    resumed = [found["message"] for found in second.resume(position)]
    assert resumed[-2:] == ["4", "while away"]
    store.add([event(0, timestamp=now, message="later")])
    assert [found["message"] for found in second.look()] == ["later"]


def test_follow_prints_what_is_there_and_then_what_arrives_until_interrupted(store: LogStore) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MONITORING_", "REDIS_"))}
    store.add([event(0, timestamp=time.time_ns() - SECOND, message="first")])
    process = subprocess.Popen(
        [sys.executable, "-m", "monitoring", "logs", "--follow", "--json", "-unwanted"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**environment, **here(store)},
    )  # fmt: skip
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["message"] == "first"
        for number in range(5):
            store.add([event(0, timestamp=time.time_ns(), message="unwanted")])
            late = random.randrange(20) * SECOND
            store.add([event(0, timestamp=time.time_ns() - late, message=f"next {number}")], partition=number % 2)
            assert json.loads(process.stdout.readline())["message"] == f"next {number}"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
