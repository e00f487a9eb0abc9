"""Who waits is woken once for any number of wakes, before the wait or during it."""

from __future__ import annotations

import signal
import threading

from monitoring.pipeline.publish.waker import Waker


def test_a_wake_ends_the_wait_that_is_on() -> None:
    waker, woken = Waker(), threading.Event()

    def wait() -> None:
        waker.wait(float("inf"))
        woken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not woken.wait(0.02)
    waker.wake()
    thread.join(20)
    assert woken.is_set()


def test_wakes_before_the_wait_count_as_one() -> None:
    waker = Waker()
    for _ in range(3):
        waker.wake()
    waker.wait(float("inf"))
    waker.wait(0.001)
    waker.wait(0.0)
    waker.wait(-1.0)


def test_a_signal_handler_may_wake_amid_a_wake() -> None:
    waker, calls = Waker(), [0]

    def handle(number: int, frame: object) -> None:
        calls[0] += 1
        waker.wake()

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    try:
        while calls[0] < 200:
            waker.wake()
            waker.wait(0.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
