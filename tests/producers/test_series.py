"""What is recorded adds up to the unit, whoever records it and whatever comes in between."""

from __future__ import annotations

import dis
import math
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.producers.series import LARGEST, RESEND_SECONDS, CounterSeries, GaugeSeries, HistogramSeries, Series

BOUNDS = (1.0, 5.0, 10.0)


class Real:
    """A number of somebody else's making."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value


def drops() -> dict[str, int]:
    return {"invalid": 0, "watch": 0}


def counter() -> CounterSeries:
    return CounterSeries("{}", drops())


def gauge() -> GaugeSeries:
    return GaugeSeries("{}", drops())


def histogram() -> HistogramSeries:
    return HistogramSeries("{}", drops(), BOUNDS)


def take(series: Series, now: float = 0.0, window: float = 10.0) -> Any:
    """The value that is pending, handed over; None where there is none."""
    found = series.pending(now, window)
    if found is None:
        return None
    series.handed_over(found[1], now)
    return orjson.loads(found[0])


# counters


def test_a_counter_hands_over_what_came_since() -> None:
    some = counter()
    assert take(some) == 0, "it is known before it counts"
    assert take(some) is None
    some.inc()
    some.inc(2.5)
    assert take(some) == 3.5 and take(some) is None
    assert some.value == 3.5


@pytest.mark.parametrize("make", [counter, histogram])
def test_what_stands_still_says_so_before_the_store_loses_sight_of_it(make: Callable[[], Any]) -> None:
    some = make()
    take(some, 0)
    said = {now: told for now in range(10, 1000, 10) if (told := take(some, now)) is not None}
    assert list(said) == [240, 480, 720, 960]
    assert all(not told if make is counter else not (told["sum"] or any(told["counts"])) for told in said.values())
    some.renew()
    assert take(some, 2000) is None, "a forked child has nothing to say of it"


def test_what_nobody_took_is_part_of_the_next() -> None:
    some = counter()
    some.inc(2)
    assert some.pending(0, 10) == ("2", 2)
    some.inc(3)
    assert take(some) == 5


@given(st.lists(st.one_of(st.integers(0, 1 << 40), st.integers(0, 1 << 40).map(lambda n: n / 1024)), max_size=30))
def test_the_deltas_of_a_counter_add_up_to_what_was_counted(amounts: list[float]) -> None:
    some, total = counter(), Fraction(0)
    for amount in amounts:
        some.inc(amount)
        total += Fraction(take(some) or 0)
    assert total == sum(map(Fraction, amounts))


@pytest.mark.parametrize(
    ("amount", "counted"), [(True, 1), (Decimal("1.5"), 1.5), (Fraction(1, 2), 0.5), (Real(3.0), 3), (2**70, 2.0**70)]
)
def test_numbers_of_other_kinds_count_as_what_they_are(amount: Any, counted: float) -> None:
    some = counter()
    some.inc(amount)
    assert take(some) == counted
    level = gauge()
    level.set(amount)
    assert take(level) == counted
    level.inc(amount)
    level.dec(amount)
    assert take(level, RESEND_SECONDS) == counted


NONE = [math.nan, math.inf, -math.inf, 1e308, 10**400, "3", b"3", None, object(), [], Real(math.nan), Decimal("NaN")]


@pytest.mark.parametrize("value", [*NONE, -1, -0.5, Decimal(-1)])
def test_what_is_no_number_or_less_than_nothing_does_not_count(value: Any) -> None:
    some = counter()
    some.inc(value)
    assert take(some) == 0 and some._drops == {"invalid": 1, "watch": 0}


@pytest.mark.parametrize("value", NONE)
@pytest.mark.parametrize("method", ["set", "inc", "dec"])
def test_a_gauge_keeps_its_value_when_told_no_number(value: Any, method: str) -> None:
    some = gauge()
    some.set(2)
    getattr(some, method)(value)
    assert some.value == 2 and some._drops["invalid"] == 1


@pytest.mark.parametrize("value", NONE)
def test_a_histogram_does_not_count_what_is_no_number(value: Any) -> None:
    some = histogram()
    some.observe(value)
    assert some.count == 0 and some._drops["invalid"] == 1


def test_sums_of_the_largest_amounts_are_still_numbers() -> None:
    some, seen = counter(), histogram()
    for _ in range(1000):
        some.inc(LARGEST)
        seen.observe(LARGEST)
    assert take(some) == pytest.approx(1000 * LARGEST) and take(seen)["sum"] == pytest.approx(1000 * LARGEST)


# gauges


def test_a_gauge_is_handed_over_when_it_changed_and_once_a_minute_otherwise() -> None:
    some = gauge()
    assert take(some) is None, "it was not set yet"
    some.set(3)
    assert take(some, 0) == 3
    sent = [now for now in range(10, 200, 10) if take(some, now) is not None]
    assert sent == [60, 120, 180]
    some.set(4)
    assert take(some, 200) == 4


@pytest.mark.parametrize("interval", [1, 7, 10, 15, 25, 40, 60])
def test_a_gauge_that_does_not_change_is_never_older_than_a_minute(interval: int) -> None:
    some = gauge()
    some.set(3)
    sent = [now for now in range(0, 1000, interval) if take(some, now, interval) is not None]
    assert all(later - earlier <= RESEND_SECONDS for earlier, later in pairwise(sent))


def test_a_gauge_goes_up_and_down_from_nothing() -> None:
    some = gauge()
    some.inc(5)
    some.dec(7)
    assert some.value == -2
    with some.track(), some.track():
        assert some.value == 0
    assert some.value == -2


def test_a_tracked_block_that_raises_is_left_all_the_same() -> None:
    some = gauge()
    with pytest.raises(ZeroDivisionError), some.track():
        raise ZeroDivisionError
    assert some.value == 0


def test_a_watched_function_is_asked_and_may_fail_or_have_nothing_to_say() -> None:
    some = gauge()
    answers: Iterator[Any] = iter([4, None, "x", ZeroDivisionError(), 5])

    def answer() -> Any:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    some.watch(answer)
    seen = []
    for _ in range(5):
        some.look()
        seen.append(some.value)
    assert seen == [4, None, None, None, 5]
    assert some._drops == {"invalid": 1, "watch": 1}


# histograms


def test_a_value_is_counted_in_the_first_bucket_whose_bound_it_does_not_pass() -> None:
    some = histogram()
    for value in (-3, 1, 1.5, 5.0, 5.1, 10, 11):
        some.observe(value)
    assert take(some) == {"sum": pytest.approx(30.6), "counts": [2, 2, 2, 1]}
    some.observe(2)
    assert take(some) == {"sum": pytest.approx(2), "counts": [0, 1, 0, 0]}
    assert take(some) is None and some.count == 8


@given(st.lists(st.lists(st.integers(-5000, 20_000).map(lambda n: n / 1024), max_size=5), max_size=10))
def test_the_deltas_of_a_histogram_add_up_to_what_was_observed(batches: list[list[float]]) -> None:
    some, total, counts = histogram(), Fraction(0), [0] * 4
    for batch in batches:
        for value in batch:
            some.observe(value)
        if (delta := take(some)) is not None:
            total += Fraction(delta["sum"])
            counts = [have + more for have, more in zip(counts, delta["counts"], strict=True)]
    values = [value for batch in batches for value in batch]
    assert total == sum(map(Fraction, values))
    assert counts == [
        sum(low < value <= high for value in values)
        for low, high in zip((-math.inf, *BOUNDS), (*BOUNDS, math.inf), strict=True)
    ]


# forks, threads, signals


@pytest.mark.parametrize("make", [counter, gauge, histogram])
def test_a_forked_child_begins_at_nothing_and_says_nothing_before_it_records(make: Callable[[], Any]) -> None:
    some = make()
    record = {CounterSeries: "inc", GaugeSeries: "set", HistogramSeries: "observe"}[type(some)]
    getattr(some, record)(3)
    some.renew()
    assert take(some) is None
    getattr(some, record)(2)
    assert take(some) in (2, {"sum": 2, "counts": [0, 1, 0, 0]})


def test_a_block_that_a_fork_leaves_twice_counts_where_it_was_entered() -> None:
    some = gauge()
    with some.track():
        some.renew()
    assert some.value is None


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads are switched as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_threads_lose_nothing_while_it_is_handed_over() -> None:
    count, level, seen = counter(), gauge(), histogram()
    done = threading.Event()

    def record() -> None:
        for _ in range(20_000):
            count.inc()
            level.inc(2)
            level.dec()
            seen.observe(3)

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    total = observed = parted = 0
    while not done.is_set():
        if not any(thread.is_alive() for thread in threads):
            done.set()
        total += take(count) or 0
        delta = take(seen) or {"sum": 0, "counts": [0]}
        parted += delta["sum"] != 3 * sum(delta["counts"])
        observed += sum(delta["counts"])
    assert (total, level.value, observed, seen.sum) == (80_000, 80_000, 80_000, 240_000)
    assert parted == 0, "sum and counts are of one moment"


def test_a_signal_handler_that_counts_in_the_middle_of_a_count_is_counted_too() -> None:
    count, level, seen = counter(), gauge(), histogram()
    handled = 0

    def handler(*_: object) -> None:
        nonlocal handled
        handled += 1
        count.inc()
        level.inc()
        seen.observe(3)

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    try:
        ours = total = observed = 0
        while handled < 500:
            ours += 1
            count.inc()
            level.inc()
            seen.observe(3)
            if ours % 50 == 0:
                total += take(count) or 0
                observed += sum((take(seen) or {"counts": []})["counts"])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    total += take(count) or 0
    observed += sum((take(seen) or {"counts": []})["counts"])
    assert total == level.value == observed == ours + handled
    assert seen.sum == 3 * observed


@pytest.mark.parametrize(
    ("method", "first", "last"),
    [
        (CounterSeries.inc, "_total", "_total"),
        (GaugeSeries.inc, "_value", "_value"),
        (GaugeSeries.dec, "_value", "_value"),
        (HistogramSeries.observe, "BINARY_OP", "_sum"),
    ],
)
def test_no_thread_or_handler_can_come_between_reading_a_total_and_writing_it(
    method: Callable[..., None], first: str, last: str
) -> None:
    """The interpreter lets others run where a call returns and where it jumps back, so neither may stand between."""
    code = list(dis.get_instructions(method))
    stores = [place for place, step in enumerate(code) if step.opname == "STORE_ATTR" and step.argval == last]
    assert stores
    for end in stores:
        starts = [place for place in range(end) if first in (code[place].opname, code[place].argval)]
        start = starts[0] if first == "BINARY_OP" else starts[-1]
        between = [step.opname for step in code[start:end]]
        assert not [name for name in between if name.startswith(("CALL", "PRECALL", "JUMP_BACK", "RESUME", "SEND"))]
