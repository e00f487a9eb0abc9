"""The whole piece: publishers, services and stories put together, the past first and then what goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.publish.connect import publisher_from, transport_from
from monitoring.pipeline.publish.publisher import Counters
from monitoring.pipeline.settings import Settings
from monitoring.producers import llm
from monitoring.producers.demo.clock import SECOND, Clock
from monitoring.producers.demo.director import CYCLE_SECONDS, direct, idle
from monitoring.producers.demo.machine import HOST, host
from monitoring.producers.demo.platform import GOOD, Platform
from monitoring.producers.demo.service import Service
from monitoring.producers.demo.stage import Stage
from monitoring.producers.demo.traffic import PRICES, users
from monitoring.producers.registry import Registry
from monitoring.producers.shipping import Reporter
from monitoring.producers.trouble import Trouble

__all__ = ["STEP_SECONDS", "Piece", "Play"]

STEP_SECONDS = 0.2
"""Between two looks at the clock on the wall: as long as services gather events before they send them."""
_PAST_STEP_SECONDS = 60
_CLOSE_SECONDS = 10.0


class Piece(NamedTuple):
    """What is played: seconds of the past, how fast the story goes, chats and other requests a second, the seed.

    `at_seconds` of its hour the story has reached when the past ends; no more of it than the past is long.
    """

    history_seconds: float = 3600.0
    speed: float = 1.0
    rate: float = 15.0
    seed: int = 1
    at_seconds: float = 0.0


class Play:
    """Plays a piece into the instance that the settings lead to, as any service finds it.

    Raises SettingsError where there is none, BusUnavailable where its bus does not answer or takes nothing more.
    """

    def __init__(self, chosen: Settings, piece: Piece, *, now_ns: NowNs = wall_ns) -> None:
        named = chosen.replace(service="monitoring-demo", durability="memory", spool_dir="")
        transport = transport_from(named)
        try:
            transport.partitions("logs")
        finally:
            transport.close()
        self._now_ns = now_ns
        self._trouble = Trouble()
        self._logs = publisher_from(named, on_trouble=self._trouble.say)
        self._metrics = publisher_from(named, signal="metrics", on_trouble=self._trouble.say)
        began = now_ns()
        self.clock = Clock(began - int(piece.history_seconds * SECOND))
        self._present = began
        buffer = chosen.whole("buffer_events")
        self.stage = Stage(self.clock, self._logs, self._metrics, buffer_events=buffer)
        llm.prices.use({"version": "demo", "currency": "USD", "models": PRICES})
        self._set_up(piece)

    def _service(self, name: str) -> Service:
        logs, metrics, clock = self._logs, self._metrics, self.clock
        made = Service(name, GOOD, f"{name}-1", logs=logs, metrics=metrics, clock=clock, trouble=self._trouble)
        self.stage.reports(lambda: made.reporter)
        return made

    def _set_up(self, piece: Piece) -> None:
        gateway, inference = self._service("gateway"), self._service("inference")
        trainer, evaluator = self._service("trainer"), self._service("evaluator")
        self.stage.owners = {'"llm_fine_tuning': trainer, '"llm_evaluation': evaluator, '"llm_': inference}
        platform = Platform(
            self.stage,
            self.clock,
            piece.seed,
            piece.speed,
            piece.rate,
            gateway=gateway,
            inference=inference,
            trainer=trainer,
            evaluator=evaluator,
        )
        machine = Registry(clock=self.clock.seconds)
        measured = Reporter(machine, self._metrics, service="", host=HOST)
        self.stage.reports(lambda: measured)
        self.stage.play(gateway, users(platform))
        self.stage.play(inference, host(platform, machine))
        self.stage.play(trainer, idle(trainer))
        self.stage.play(evaluator, idle(evaluator))
        # Live the story begins with its first minute, so that somebody who watches need not wait for a deploy.
        calm = (piece.history_seconds * piece.speed - piece.at_seconds) % CYCLE_SECONDS
        self.stage.play(inference, direct(platform, calm))

    def past(self, stopped: Callable[[], bool], progress: Callable[[float], None]) -> None:
        """Play up to the time at which this was made; `progress` is told how much of it is done, 0 to 1."""
        began = self.clock.now_ns()
        while self.clock.now_ns() < self._present and not stopped():
            self.stage.play_until(min(self._present, self.clock.now_ns() + _PAST_STEP_SECONDS * SECOND))
            progress((self.clock.now_ns() - began) / (self._present - began))

    def present(self) -> None:
        """Play what is due by now; call it every STEP_SECONDS."""
        self.stage.play_until(self._now_ns())

    def counters(self) -> tuple[Counters, Counters]:
        """Of log events, and of metrics' deltas."""
        return self._logs.counters(), self._metrics.counters()

    def close(self) -> bool:
        """End the stories and send what there is; whether all is on the bus."""
        self.stage.close()
        logs = self._logs.close(_CLOSE_SECONDS)
        return self._metrics.close(_CLOSE_SECONDS) and logs
