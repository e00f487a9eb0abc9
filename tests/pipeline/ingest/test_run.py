"""Runs of ingest against a real bus: every line once, however often a run is cut off, and across rotation."""

from __future__ import annotations

import gzip
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring.pipeline.bus.frame import decode_payload
from monitoring.pipeline.bus.streams import Transport
from monitoring.pipeline.errors import AlreadyRunning, BusUnavailable
from monitoring.pipeline.events.event import Rejected
from monitoring.pipeline.ingest.feed import JOIN_SECONDS, SAMPLE_SECONDS, Options
from monitoring.pipeline.ingest.follow import QUIET_SECONDS
from monitoring.pipeline.ingest.lanes import Lanes
from monitoring.pipeline.ingest.report import Report
from monitoring.pipeline.ingest.run import Ingest, Tuning
from monitoring.pipeline.ingest.source import PipeSource
from monitoring.pipeline.ingest.state import IngestState, identify
from tests.pipeline.publish.support import FlakyTransport, Store, transport


class Killed(BaseException):
    """The process dies here: nothing it would do on the way out is done."""


class World:
    """A data directory and a bus. Time goes on only where somebody sleeps, and the store drains meanwhile."""

    def __init__(self, tmp_path: Path, url: str) -> None:
        self.data = tmp_path / "data"
        self.url = url
        self.store = Store(url, partitions=2)
        self.now = 1000.0
        self.reports: list[Report] = []

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.001)
        self.store.drain()

    def run(
        self,
        inputs: Sequence[Path | None],
        *,
        follow: bool = False,
        stop: Callable[[], bool] = lambda: False,
        watch: Callable[[Report], None] = lambda report: None,
        factory: Callable[[], Transport] | None = None,
        frame_events: int = 10,
        options: Options = Options(),  # noqa: B008 - immutable
        again: bool = False,
    ) -> Report:
        made = factory or (lambda: transport(self.url))
        with (
            closing(IngestState(self.data)) as state,
            closing(Lanes(state, made, clock=lambda: self.now)) as lanes,
            closing(
                Ingest(
                    state,
                    lanes,
                    options,
                    tuning=Tuning(frame_events, 0.2),
                    again=again,
                    stop=stop,
                    watch=watch,
                    clock=lambda: self.now,
                    sleep=self.sleep,
                )
            ) as run,
        ):
            report = run.follow([path for path in inputs if path]) if follow else run.run(inputs)
        self.reports.append(report)
        return report

    def messages(self) -> list[str]:
        """Of all committed events, by lane and seq."""
        found: list[str] = []
        for _, frame in sorted(self.store.frames.items()):
            payload = decode_payload(frame)
            column = payload.columns[7] if payload.columns else []
            found += column if isinstance(column, list) else [column] * payload.events
        return found

    def rejected(self) -> list[Rejected]:
        return [item for frame in self.store.frames.values() for item in decode_payload(frame).rejected]

    def check(self, expected: Sequence[str]) -> None:
        """Exactly these messages are stored, each once, and the books are in order."""
        assert Counter(self.messages()) == Counter(expected)
        self.store.assert_sound()


@pytest.fixture
def world(tmp_path: Path, valkey: str) -> Iterator[World]:
    made = World(tmp_path, valkey)
    yield made
    assert list((made.data / "ingest.locks").glob("*")) == []


def lines(first: int, last: int, prefix: str = "line") -> str:
    return "".join(f"{prefix} {number}\n" for number in range(first, last))


def names(first: int, last: int, prefix: str = "line") -> list[str]:
    return lines(first, last, prefix).splitlines()


def test_files_are_read_and_the_run_ends_when_all_is_committed(world: World, tmp_path: Path) -> None:
    one, two = tmp_path / "one.log", tmp_path / "two.log.gz"
    one.write_text(lines(0, 95))
    two.write_bytes(gzip.compress(lines(0, 33, "zipped").encode()))
    report = world.run([one, two])
    world.check(names(0, 95) + names(0, 33, "zipped"))
    assert (report.events, report.rejected, report.in_flight, report.interrupted) == (128, 0, 0, False)
    assert [(file.events, file.lines, file.outcome, file.format) for file in report.files] == [
        (95, 95, "read", "plain"),
        (33, 33, "read", "plain"),
    ]
    assert report.services == {"one", "two"} and report.done_bytes == report.total_bytes


def test_a_second_run_reads_only_what_is_new(world: World, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text(lines(0, 25))
    world.run([path])
    assert world.run([path]).files[0].outcome == "unchanged"
    with path.open("a") as file:
        file.write(lines(25, 40))
    report = world.run([path])
    assert (report.files[0].events, report.files[0].resumed_at_line) == (15, 26)
    world.check(names(0, 40))


def test_again_reads_from_the_start(world: World, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text(lines(0, 5))
    world.run([path])
    world.run([path], again=True)
    world.check(names(0, 5) * 2)


def test_a_file_with_new_content_is_read_from_its_start(world: World, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text(lines(0, 25))
    world.run([path])
    path.write_text(lines(0, 3, "new"))
    world.run([path])
    path.write_text(lines(0, 50, "other"))
    world.run([path])
    world.check(names(0, 25) + names(0, 3, "new") + names(0, 50, "other"))


def test_a_file_that_was_renamed_is_known_again(world: World, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text(lines(0, 25))
    world.run([path])
    path.rename(tmp_path / "app.log.1")
    assert world.run([tmp_path / "app.log.1"]).files[0].outcome == "unchanged"


def test_broken_lines_travel_with_their_file_line_and_reason(world: World, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b'{"msg":"a"}\n{"msg":\n' + b"x" * (2 << 20) + b'\n{"msg":"b"}\n{"ms')
    report = world.run([path])
    world.check(["a", "b"])
    assert sorted((item.source, item.line, item.reason.partition(":")[0]) for item in world.rejected()) == [
        (str(path), 2, "not valid JSON"),
        (str(path), 3, "longer than 1048576 bytes"),
        (str(path), 5, "not valid JSON"),
    ]
    assert report.rejected == 3 and report.files[0].rejected == 3
    assert report.reasons["longer than 1048576 bytes"].examples == [f"{path}:3"]
    assert world.run([path]).files[0].outcome == "unchanged"


def test_files_that_cannot_be_read_do_not_keep_the_others_from_it(world: World, tmp_path: Path) -> None:
    good, cut = tmp_path / "good.log", tmp_path / "cut.gz"
    good.write_text(lines(0, 3))
    cut.write_bytes(gzip.compress(lines(0, 5).encode() + os.urandom(40_000).hex().encode())[:30_000])
    report = world.run([tmp_path, tmp_path / "none", good, cut])
    assert [file.outcome for file in report.files] == ["unreadable", "unreadable", "read", "read"]
    assert "damaged or ends early" in report.files[3].problem
    assert report.files[3].events == 6 and world.messages()[:8] == names(0, 3) + names(0, 5)


def test_a_file_that_another_ingest_reads_is_left_to_it(world: World, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text(lines(0, 3))
    with closing(IngestState(world.data)) as other, path.open("rb") as file:
        lock = other.lock_file(identify(file.fileno()), str(path))
        report = world.run([path])
        assert report.files[0].outcome == "unreadable" and "another ingest" in report.files[0].problem
        with pytest.raises(AlreadyRunning):
            other.lock_file(identify(file.fileno()), str(path))
        lock.release()
    world.run([path])
    world.check(names(0, 3))


def test_empty_files_and_blank_lines_make_no_events(world: World, tmp_path: Path) -> None:
    empty, blank = tmp_path / "empty.log", tmp_path / "blank.log"
    empty.write_bytes(b"")
    blank.write_bytes(b"\n\n  \n")
    report = world.run([empty, blank])
    assert [(file.events, file.outcome) for file in report.files] == [(0, "read"), (0, "read")]
    assert world.run([blank]).files[0].outcome == "unchanged"
    world.check([])


def test_a_last_line_without_newline_is_a_line(world: World, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"first\nlast")
    world.run([path])
    with path.open("ab") as file:
        file.write(b"\nmore\n")
    world.run([path])
    world.check(["first", "last", "more"])


# --- cut off ---------------------------------------------------------------------------------------------

TRACE = 'Traceback (most recent call last):\n  File "a.py", line 1\nValueError: no\n'
TRACED = "".join(
    f"2024-05-01 12:00:0{number % 10},000 - app - ERROR - failed {number}\nand more {number}\n{TRACE}"
    for number in range(40)
)


class Scissors:
    """Kills the run at its n-th commit: before it or behind it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, commits: int, *, before: bool) -> None:
        self.left = commits
        self.before = before
        self._commit = IngestState.commit
        monkeypatch.setattr(IngestState, "commit", lambda state, *args, **named: self.commit(state, *args, **named))

    def commit(self, state: IngestState, *args: Any, **named: Any) -> None:
        self.left -= 1
        if self.left == 0 and self.before:
            raise Killed
        self._commit(state, *args, **named)
        if self.left == 0:
            raise Killed


@pytest.mark.parametrize("before", [True, False], ids=["before the commit", "behind the commit"])
@pytest.mark.parametrize("commits", [1, 2, 5])
def test_a_run_that_is_killed_at_a_commit_loses_and_doubles_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commits: int, before: bool
) -> None:
    path = tmp_path / "app.log"
    path.write_text(TRACED)
    whole = world.run([path])
    expected = world.messages()
    assert len(expected) == whole.events == 40 and "Traceback" not in "".join(expected)
    other = tmp_path / "other.log"
    other.write_text(TRACED)
    with monkeypatch.context() as patch:
        Scissors(patch, commits, before=before)
        with pytest.raises(Killed):
            world.run([other], frame_events=3)
    world.run([other], frame_events=3)
    world.check(expected * 2)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=6), st.integers(1, 12), st.sampled_from(["", "gz"])
)
def test_however_often_a_run_is_killed_each_line_is_stored_once(
    world: World, tmp_path_factory: pytest.TempPathFactory, kills: list[tuple[int, bool]], size: int, kind: str
) -> None:
    path = tmp_path_factory.mktemp("files") / f"{kind}.log"
    content = TRACED.encode()
    path.write_bytes(gzip.compress(content) if kind else content)
    before = Counter(world.messages())
    for commits, at_start in kills:
        with pytest.MonkeyPatch.context() as patch:
            Scissors(patch, commits, before=at_start)
            try:
                world.run([path], frame_events=size)
            except Killed:
                continue
    world.run([path], frame_events=size)
    world.store.assert_sound()
    found = Counter(world.messages())
    found.subtract(before)
    assert len(+found) == 40 and set((+found).values()) == {1}


def test_what_a_killed_run_left_is_sent_by_the_next_whatever_that_reads(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = tmp_path / "app.log", tmp_path / "other.log"
    path.write_text(lines(0, 50))
    other.write_text(lines(0, 2, "other"))
    with monkeypatch.context() as patch:
        Scissors(patch, 3, before=False)
        with pytest.raises(Killed):
            world.run([path])
    report = world.run([other])
    assert 20 <= report.recovered < 50
    world.check(names(0, report.recovered) + names(0, 2, "other"))
    world.run([path])
    world.check(names(0, 50) + names(0, 2, "other"))


def test_a_bus_that_breaks_again_and_again_does_no_harm(world: World, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text(lines(0, 300))
    calls = Counter[str]()

    def fail(moment: str) -> bool:
        calls[moment] += 1
        return calls[moment] % 3 == 0

    world.run([path], factory=lambda: FlakyTransport(world.url, fail))
    world.check(names(0, 300))


def test_a_run_that_is_told_to_stop_stops_where_the_next_goes_on(world: World, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text(lines(0, 5000))
    stopped: list[Report] = []

    def watch(report: Report) -> None:
        if report.events >= 1000:
            stopped.append(report)

    report = world.run([path], stop=lambda: bool(stopped), watch=watch)
    assert report.interrupted and report.in_flight == 0 and report.files[0].outcome == "stopped"
    assert report.events < 5000 and world.messages() == names(0, report.events)
    assert world.run([path]).files[0].resumed_at_line == report.events + 1
    world.check(names(0, 5000))


def test_a_run_that_is_told_to_stop_while_the_bus_is_away_says_what_is_in_flight(world: World, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text(lines(0, 50))

    def away() -> Transport:
        raise BusUnavailable("nobody there")

    began = world.now
    report = world.run([path], stop=lambda: world.now > began + 5, factory=away)
    assert (report.events, report.in_flight, report.trouble) == (50, 50, "nobody there")
    assert world.run([path]).recovered == 50
    world.check(names(0, 50))


def test_reading_waits_for_commits_so_that_memory_stays_bounded(world: World, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("monitoring.pipeline.ingest.lanes.IN_FLIGHT_BYTES", 20_000)
    path = tmp_path / "app.log"
    path.write_text(lines(0, 20_000))
    most: list[int] = []
    world.run([path], watch=lambda report: most.append(report.in_flight), frame_events=100)
    world.check(names(0, 20_000))
    assert max(most) < 3000


# --- standard input --------------------------------------------------------------------------------------


def piped(world: World, monkeypatch: pytest.MonkeyPatch, data: bytes, **named: Any) -> Report:
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    monkeypatch.setattr("monitoring.pipeline.ingest.run.PipeSource", lambda handle: PipeSource(reading))
    try:
        return world.run([None], **named)
    finally:
        os.close(reading)


def test_standard_input_is_read_to_its_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    report = piped(world, monkeypatch, lines(0, 45).encode() + b"the end")
    world.check([*names(0, 45), "the end"])
    assert report.files[0].name == "stdin" and report.services == {"stdin"} and report.total_bytes is None


def test_what_was_read_from_standard_input_is_safe_when_the_run_is_killed(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        Scissors(patch, 4, before=False)
        with pytest.raises(Killed):
            piped(world, patch, lines(0, 3000).encode())
    kept = world.run([]).recovered
    assert kept >= 30
    world.check(names(0, kept))


# --- following -------------------------------------------------------------------------------------------


class Script:
    """What happens to the followed files, step by step: each waits until all lines so far are stored."""

    def __init__(self, world: World, steps: Sequence[Callable[[], None]], settle: float = 0.0) -> None:
        self._world = world
        self._steps = list(steps)
        self._settle = settle
        self._quiet_since = world.now
        self._stored = -1
        self.done = False

    def stop(self) -> bool:
        stored = len(self._world.messages())
        if stored != self._stored:
            self._stored, self._quiet_since = stored, self._world.now
        patience = JOIN_SECONDS + QUIET_SECONDS + SAMPLE_SECONDS + 2.0
        if self._world.now - self._quiet_since > patience:
            if not self._steps:
                self.done = True
                return True
            self._steps.pop(0)()
            self._quiet_since = self._world.now
        return False


def append(path: Path, text: str) -> Callable[[], None]:
    def step() -> None:
        with path.open("a") as file:
            file.write(text)

    return step


def follow(world: World, paths: Sequence[Path], *steps: Callable[[], None]) -> Report:
    script = Script(world, steps)
    report = world.run(paths, follow=True, stop=script.stop)
    assert script.done
    return report


def test_a_followed_file_is_read_on_as_it_grows(world: World, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text(lines(0, 3) + "hal")
    report = follow(world, [path], append(path, "f a line\n"), append(path, lines(3, 30)), append(path, "no end"))
    world.check([*names(0, 3), "half a line", *names(3, 30)])
    assert report.in_flight == 0 and report.files[0].outcome == "stopped"
    follow(world, [path], append(path, " yet\n"))
    world.check([*names(0, 3), "half a line", *names(3, 30), "no end yet"])


def test_a_file_that_does_not_exist_yet_is_waited_for(world: World, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    follow(world, [path], append(path, lines(0, 3)))
    world.check(names(0, 3))


def test_a_trace_that_comes_in_time_belongs_to_its_event(world: World, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    traced = [f"ERROR:a:failed {number}\n{TRACE}" for number in range(3)]
    follow(world, [path], *(append(path, text) for text in traced), append(path, "INFO:a:last\n"))
    world.check(["failed 0", "failed 1", "failed 2", "last"])


def test_a_format_that_was_told_by_little_is_told_again_by_more(world: World, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text("Starting up\n")
    dated = "".join(f"2024-05-01 12:00:00,000 - app - INFO - done {number}\n" for number in range(60))
    more = "2024-05-01 12:00:01,000 - app - INFO - first\nsecond\n"
    report = follow(world, [path], append(path, dated), append(path, more))
    assert report.files[0].format == "python"
    world.check(["Starting up", *(f"done {number}" for number in range(60)), "first\nsecond"])


def test_a_renamed_file_is_read_to_its_end_before_the_one_in_its_place(world: World, tmp_path: Path) -> None:
    path, old = tmp_path / "app.log", tmp_path / "app.log.1"
    path.write_text(lines(0, 5))

    def rotate() -> None:
        append(path, lines(5, 8))()
        path.rename(old)
        append(old, lines(8, 10))()
        append(path, lines(10, 12))()

    def late() -> None:
        append(path, lines(12, 15))()

    follow(world, [path], rotate, late)
    assert world.messages() == names(0, 15)
    world.check(names(0, 15))


def test_a_copied_and_truncated_file_loses_nothing_that_the_copy_holds(world: World, tmp_path: Path) -> None:
    path, copy = tmp_path / "app.log", tmp_path / "app.log.1"
    path.write_text(lines(0, 5))

    def rotate() -> None:
        append(path, lines(5, 9))()
        shutil.copy(path, copy)
        os.truncate(path, 0)
        append(path, lines(9, 12))()

    follow(world, [path], rotate, append(path, lines(12, 14)))
    assert world.messages() == names(0, 14)
    world.check(names(0, 14))
    world.run([path, copy])
    world.check(names(0, 14))


def test_a_truncated_file_is_read_from_its_start(world: World, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text(lines(0, 50))

    def truncate() -> None:
        path.write_text(lines(50, 52))

    def longer() -> None:
        path.write_text(lines(0, 80, "longer than before"))

    follow(world, [path], truncate, longer, append(path, lines(52, 53)))
    world.check(names(0, 53) + names(0, 80, "longer than before"))


def test_a_file_that_is_gone_is_waited_for(world: World, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text(lines(0, 5))
    follow(world, [path], path.unlink, append(path, lines(5, 9)))
    world.check(names(0, 9))


@pytest.mark.parametrize("rotations", [1, 3])
def test_what_was_renamed_while_nobody_followed_is_read_first(world: World, tmp_path: Path, rotations: int) -> None:
    path = tmp_path / "app.log"
    path.write_text(lines(0, 5))
    (tmp_path / "app.log.9").write_text(lines(0, 5, "older"))
    follow(world, [path])
    append(path, lines(5, 8))()
    for number in range(rotations):
        for older in range(number, 0, -1):
            (tmp_path / f"app.log.{older}").rename(tmp_path / f"app.log.{older + 1}")
        path.rename(tmp_path / "app.log.1")
        path.write_text(lines(8 + number, 9 + number))
    (tmp_path / "app.log.bak").write_text(lines(0, 5))
    follow(world, [path])
    world.check(names(0, 8 + rotations))


def test_what_was_copied_and_truncated_while_nobody_followed_is_read_first(world: World, tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text(lines(0, 5))
    follow(world, [path])
    append(path, lines(5, 8))()
    shutil.copy(path, tmp_path / "app.log.1")
    path.write_text(lines(8, 9))
    follow(world, [path])
    world.check(names(0, 9))
    world.run([tmp_path / "app.log.1"])
    world.check(names(0, 9))


def test_several_files_are_followed_side_by_side(world: World, tmp_path: Path) -> None:
    one, two = tmp_path / "one.log", tmp_path / "two.log"
    one.write_text(lines(0, 5, "one"))
    two.write_text(lines(0, 5, "two"))
    follow(world, [one, two], append(one, lines(5, 7, "one")), append(two, lines(5, 9, "two")))
    world.check(names(0, 7, "one") + names(0, 9, "two"))


def test_a_compressed_file_cannot_be_followed(world: World, tmp_path: Path) -> None:
    path = tmp_path / "app.log.gz"
    path.write_bytes(gzip.compress(b"x\n"))
    report = world.run([path], follow=True)
    assert report.files[0].outcome == "unreadable" and "without --follow" in report.files[0].problem
