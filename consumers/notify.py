"""Notify: delivers what is due in the outbox.

    claim -> send, each channel in a thread of its own -> judge -> mark

A channel takes one message at a time, so one that hangs holds up nobody else. Dying between any two steps loses
nothing: what is not marked is sent again, under the same idempotency key, when the lease of its channel has run out.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from monitoring.consumers import stop
from monitoring.consumers.channels.outcome import Refused, TryLater, shorten
from monitoring.consumers.channels.sending import Sending, send
from monitoring.consumers.heartbeat import Heartbeat
from monitoring.consumers.message import compose
from monitoring.consumers.retry import judge
from monitoring.pipeline import failpoint
from monitoring.pipeline.addresses import public_url
from monitoring.pipeline.channel_test import test_notice
from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.channels import RATE_PER_MINUTE, Channel, Channels, environment
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.pipeline.store.outbox import LEASE_NS, Message, Outbox

__all__ = ["Notifier", "run", "test_now"]

_log = logging.getLogger("monitoring.notify")

MOST_FLIGHTS = 16
"""Deliveries at a time: a thread each, which waits for the far end most of its life."""
SLICE_SECONDS = 30.0
"""After that the job only ends what it has begun, and the next one starts anew: settings, and memory."""
LINGER_SECONDS = 3.0
"""A job stays where something is due so soon, rather than be started anew: groups wait for two seconds."""
FLIGHT_SECONDS = 45.0
"""No delivery lasts longer but one that hangs in a resolver of names: it is counted as failed and left behind."""
STOP_SECONDS = 2.0
"""What is under way gets so long when the job must end; the supervisor waits for four."""
_POLL_SECONDS = 0.25
_RENEW_SECONDS = LEASE_NS / 1e9 / 5


@dataclass(frozen=True, slots=True)
class _Flight:
    """A delivery under way. `began` is monotonic time."""

    message: Message
    channel: Channel
    began: float


def run(chosen: Settings) -> dict[str, int]:
    """The job: deliver until nothing is due, a stop is requested or the slice is over; what was done."""
    failpoint.arm(chosen.path("failpoint_dir"))
    with contextlib.closing(Control(chosen.data / FILE_NAME)) as control:
        return Notifier(chosen, control).run()


def test_now(chosen: Settings, channel: Channel, *, now_ns: NowNs = wall_ns) -> tuple[bool, str]:
    """Send a test message from this process, past the outbox: whether it was taken, and what the far end said."""
    notice = test_notice(channel.name, public_url(chosen), now_ns())
    message = Message(notice.key, channel.name, (notice,), notice.due, 1, "")
    try:
        return True, _send(chosen, message, channel, now_ns())
    except (Refused, TryLater) as error:
        return False, str(error)


def _send(chosen: Settings, message: Message, channel: Channel, now_ns: int) -> str:
    content = compose(message, public_url(chosen))
    allow_private = chosen.flag("allow_private_webhooks")
    return shorten(send(Sending(channel, message, content, allow_private, now_ns, environment())))


class Notifier:
    """Delivers for one process. Its `run` is for one thread; the deliveries have their own."""

    def __init__(
        self, chosen: Settings, control: Control, *, now_ns: NowNs = wall_ns, luck: Callable[[], float] = random.random
    ) -> None:
        self._settings, self._control, self._now_ns, self._luck = chosen, control, now_ns, luck
        self._outbox = Outbox(control, now_ns=now_ns)
        self._channels = Channels(control, chosen, now_ns=now_ns)
        self._flying: dict[str, _Flight] = {}
        self._landed: queue.SimpleQueue[tuple[str, str | Exception]] = queue.SimpleQueue()
        self._renewed = 0.0
        self.done = {"sent": 0, "failed": 0, "retried": 0, "dropped": 0}

    def run(self) -> dict[str, int]:
        """Deliver what is due; how many messages were sent, failed for good, put off or dropped."""
        ends = time.monotonic() + SLICE_SECONDS
        self._outbox.prune()
        heartbeat = Heartbeat(self._settings, self._control, now_ns=self._now_ns)
        if heartbeat.due():
            heartbeat.start()
        while not stop.requested():
            if time.monotonic() < ends:
                self._launch()
            idle = not self._flying and (time.monotonic() >= ends or not self._soon())
            if idle and (not heartbeat.is_alive() or time.monotonic() >= ends):
                break
            self._settle(_POLL_SECONDS)
            self._tend()
        self._land()
        return self.done

    def _soon(self) -> bool:
        due = self._outbox.due_at()
        return due is not None and due - self._now_ns() < LINGER_SECONDS * 1e9

    def _launch(self) -> None:
        """Claim what is due and start its deliveries."""
        due = self._outbox.due_at()
        if due is None or due > self._now_ns() or len(self._flying) >= MOST_FLIGHTS:
            return
        known = {channel.name: channel for channel in self._channels.all()}

        def pace(name: str) -> float:
            return known[name].rate_per_minute if name in known else RATE_PER_MINUTE

        for message in self._outbox.claim(MOST_FLIGHTS - len(self._flying), pace):
            failpoint.hit("notify.claimed")
            channel = known.get(message.channel)
            if channel is None:
                self._fail(message, f"there is no channel {message.channel}")
            elif not channel.enabled:
                self._outbox.drop(message.id, "the channel is switched off")
                self.done["dropped"] += 1
            else:
                self._flying[message.id] = _Flight(message, channel, time.monotonic())
                threading.Thread(
                    target=self._deliver, args=(message, channel), name=f"notify-{channel.name}", daemon=True
                ).start()

    def _deliver(self, message: Message, channel: Channel) -> None:
        """The thread of a delivery: whatever happens, it lands."""
        outcome: str | Exception
        try:
            outcome = _send(self._settings, message, channel, self._now_ns())
        except (Refused, TryLater) as error:
            outcome = error
        except Exception as error:  # the edge: the notice is tried again, and people can see why
            _log.exception("the delivery of %s to %s failed in a way nobody foresaw", message.id, channel.name)
            outcome = error
        self._landed.put((message.id, outcome))

    def _settle(self, wait_seconds: float) -> None:
        """Mark what has landed, waiting so long for the first."""
        try:
            landed = self._landed.get(timeout=wait_seconds)
            while True:
                self._mark(*landed)
                landed = self._landed.get_nowait()
        except queue.Empty:
            return

    def _mark(self, identity: str, outcome: str | Exception) -> None:
        failpoint.hit("notify.landed")
        flight = self._flying.pop(identity, None)
        if flight is None:
            return  # it was given up; that it has landed after all changes nothing that was written
        message, name = flight.message, flight.channel.name
        verdict = judge(
            message,
            outcome,
            deadline_seconds=flight.channel.deadline_seconds,
            now_ns=self._now_ns(),
            luck=self._luck(),
        )
        if verdict.state == "sent":
            self._outbox.sent(identity, verdict.said)
            self.done["sent"] += 1
        elif verdict.state == "failed":
            self._fail(message, verdict.said)
        else:
            self._outbox.retry(identity, verdict.said, verdict.wait_ns, progress=verdict.progress, pause=verdict.pause)
            self.done["retried"] += 1
            _log.info("%s to %s again in %.0f s: %s", identity, name, verdict.wait_ns / 1e9, verdict.said)

    def _fail(self, message: Message, said: str) -> None:
        self._outbox.fail(message.id, said)
        self.done["failed"] += 1
        _log.error("%d notices cannot be delivered to %s: %s", len(message.notices), message.channel, said)

    def _tend(self) -> None:
        """Keep the leases of what is under way, and give up what hangs."""
        now = time.monotonic()
        for identity, flight in list(self._flying.items()):
            if now - flight.began > FLIGHT_SECONDS:
                self._mark(identity, TryLater(f"no end after {FLIGHT_SECONDS:g} s"))
        if self._flying and now - self._renewed > _RENEW_SECONDS:
            self._renewed = now
            self._outbox.renew({flight.channel.name for flight in self._flying.values()})

    def _land(self) -> None:
        """Before the end: mark what lands in time; the rest is due again at once, for the next job."""
        ends = time.monotonic() + STOP_SECONDS
        while self._flying and time.monotonic() < ends:
            self._settle(_POLL_SECONDS)
        for identity, flight in self._flying.items():
            self._outbox.retry(
                identity, "the worker was stopped amid the delivery", 0, progress=flight.message.progress
            )
