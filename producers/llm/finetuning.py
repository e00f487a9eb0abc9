"""Fine-tuning jobs: start, steps, checkpoints, end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from monitoring.pipeline.clock import wall_ns
from monitoring.producers.instruments import Gauge
from monitoring.producers.llm import families
from monitoring.producers.llm.leaving import arrive, leave
from monitoring.producers.llm.recording import counted, guarded, label, named_numbers, publish, told_error, wrong
from monitoring.producers.llm.runs import Clock, Outcome, Run, outcome_of
from monitoring.producers.llm.throttle import Throttle
from monitoring.producers.logger import ERROR, INFO, WARNING
from monitoring.producers.series import GaugeSeries

__all__ = ["MAX_METRICS", "FineTuning"]

MAX_METRICS = 64
"""Names of metrics that a job may have: what exceeds it is a name with a number in it, not a metric."""
_KNOWN = {
    "loss": families.job_loss,
    "learning_rate": families.job_learning_rate,
    "tokens_per_second": families.job_tokens_per_second,
    "epoch": families.job_epoch,
}
_LEVELS = {"succeeded": INFO, "failed": ERROR}


class FineTuning(Run):
    """A fine-tuning job. Use it in a `with` block, or with `start` and `finish`.

        with llm.fine_tuning("support-bot-v3", base_model="llama-3-8b", total_steps=1000) as job:
            for step, batch in enumerate(batches, 1):
                job.step(step, loss=train(batch), learning_rate=rate)

    Leaving the block ends it: "succeeded"; with an exception "failed"; by Ctrl-C, `sys.exit` or a cancelled task
    "cancelled". A job that another process goes on with keeps its id: `run_id=…, resumed=True`.

    Nothing here raises or blocks. Every step is in the metrics; events are thinned out: the first and the last step,
    whenever 1/64 more steps have been made, and one in `event_interval_seconds`; or, with `event_every`, exactly each
    so many. `config` is recorded as it is, redacted and bounded like every attribute.
    """

    def __init__(
        self,
        model: str,
        *,
        base_model: str = "",
        dataset: str = "",
        total_steps: int | None = None,
        config: Mapping[str, Any] | None = None,
        run_id: str = "",
        resumed: bool = False,
        event_interval_seconds: float = 10.0,
        event_every: int | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__("fine_tuning", run_id, clock)
        self.model = label(model)
        self.last_step: int | None = None
        self._about = {"base_model": base_model, "dataset": dataset, "config": config}
        self._resumed = resumed
        self._total = counted(total_steps, "total_steps") or None
        self._throttle = Throttle(event_interval_seconds, counted(event_every, "event_every") or None, clock)
        self._gauges: dict[str | Callable[[], Gauge], GaugeSeries] = {}
        self._last: dict[str, float] = {}
        self._lowest: dict[str, tuple[float, int]] = {}
        self._highest: dict[str, tuple[float, int]] = {}
        self._nonfinite: dict[str, int] = {}
        self._tokens = 0
        self._untold = False

    @guarded
    def step(self, step: int | None = None, *, tokens: int | None = None, **metrics: Any) -> None:
        """A step has been made: its number (default: one more), the tokens it read, and any numbers of it by name.

        `loss`, `learning_rate`, `tokens_per_second` and `epoch` have metrics of their own, others share one. NaN and
        infinities count in `llm_fine_tuning_nonfinite_total`, and the first of each name is an event at WARNING.
        """
        if self._is_over("step"):
            return
        self.last_step = (self.last_step or 0) + 1 if step is None else counted(step, "step")
        if tokens is not None:
            read = counted(tokens, "tokens")
            self._tokens += read
            families.job_tokens().inc(read, model=self.model)
        found = self._kept(named_numbers(metrics, "step"))
        self._last.update(found)
        odd = self._measured(found)
        self._set(families.job_step, self.last_step)
        if self._total:
            self._set(families.job_progress, min(1.0, self.last_step / self._total))
        self._beat()
        self._untold = not (self._throttle.due() or odd)
        if not self._untold:
            self._tell_step(found)

    @guarded
    def checkpoint(self, path: object, *, step: int | None = None, **metrics: Any) -> None:
        """A checkpoint was written there, of this step (default: the last one)."""
        if self._is_over("checkpoint"):
            return
        families.job_checkpoints().inc(1, model=self.model)
        self._beat()
        at = self.last_step if step is None else counted(step, "step")
        found = named_numbers(metrics, "checkpoint")
        text = f"fine-tuning {self.model}: checkpoint {path}"
        self._publish("checkpoint", text, {"checkpoint": str(path), "step": at, "metrics": found})

    @guarded
    def heartbeat(self) -> None:
        """It is alive, though no step is made for a while: it loads data, evaluates or writes."""
        if not self._is_over("heartbeat"):
            self._beat()

    @guarded
    def finish(
        self, outcome: Outcome | None = None, *, error: BaseException | str | None = None, **metrics: Any
    ) -> None:
        """End the job, with its last metrics; "succeeded", or what the error means. In a block it is not needed."""
        self._last.update(self._kept(named_numbers(metrics, "finish")))
        self._end(label(outcome or outcome_of(error)), error)

    def _kept(self, found: dict[str, float]) -> dict[str, float]:
        """Those whose names have room among the metrics of this job."""
        known = self._last
        if len(known) + len(found) <= MAX_METRICS or found.keys() <= known.keys():
            return found
        fresh = [name for name in found if name not in known]
        excess = fresh[MAX_METRICS - len(known) :]
        if excess:
            wrong(f"{self.model} has more than {MAX_METRICS} metrics; without {', '.join(excess)[:200]}")
        return {name: value for name, value in found.items() if name not in excess}

    def _measured(self, found: dict[str, float]) -> bool:
        """Set the gauges and extremes; whether a number became NaN or infinite for the first time."""
        odd = False
        at = self.last_step or 0
        for name, value in found.items():
            if math.isfinite(value):
                if name not in self._lowest or value < self._lowest[name][0]:
                    self._lowest[name] = (value, at)
                if name not in self._highest or value > self._highest[name][0]:
                    self._highest[name] = (value, at)
                self._set(name, value)
            else:
                odd = self._count_nonfinite(name, value) or odd
                self._unset(name)
        return odd

    def _count_nonfinite(self, name: str, value: float) -> bool:
        families.job_nonfinite().inc(1, model=self.model, metric=label(name))
        self._nonfinite[name] = self._nonfinite.get(name, 0) + 1
        if self._nonfinite[name] > 1:
            return False
        kind = "NaN" if math.isnan(value) else "infinite"
        text = f"fine-tuning {self.model}: {name} is {kind} at step {self.last_step}"
        fields = {"step": self.last_step, "metric": name, "value": value}
        self._publish("nonfinite", text, fields, level=WARNING)
        return True

    def _set(self, which: str | Callable[[], Gauge], value: float) -> None:
        """Set the gauge of a metric by its name, or one of our own."""
        gauge = self._gauges.get(which)
        if gauge is None:
            family, labels = self._named(which)
            gauge = self._gauges[which] = arrive(family(), labels)
        gauge.set(value)

    def _unset(self, which: str | Callable[[], Gauge]) -> None:
        """There is no such number (any more): a curve must not go on with the last one."""
        if self._gauges.pop(which, None) is not None:
            family, labels = self._named(which)
            leave(family(), labels)

    def _named(self, which: str | Callable[[], Gauge]) -> tuple[Callable[[], Gauge], dict[str, str]]:
        """The gauge of this name, and the labels of this run in it."""
        labels = {"run_id": self.run_id, "model": self.model}
        if not isinstance(which, str):
            return which, labels
        if which in _KNOWN:
            return _KNOWN[which], labels
        return families.job_metric, {**labels, "metric": label(which)}

    def _beat(self) -> None:
        self._set(families.job_heartbeat, wall_ns() / 1e9)

    def _publish(self, name: str, text: str, fields: dict[str, Any], *, level: int = INFO) -> None:
        known = {key: value for key, value in fields.items() if value is not None}
        run = {"run_id": self.run_id, "model": self.model}
        publish(f"llm.fine_tuning.{name}", text, {**run, **known}, level=level)

    def _tell_step(self, found: dict[str, float]) -> None:
        self._untold = False
        of = f"/{self._total}" if self._total else ""
        numbers = "".join(f" {name}={value:.6g}" for name, value in islice(found.items(), 8))
        fields = {"step": self.last_step, "total_steps": self._total, "metrics": dict(found)}
        self._publish("step", f"fine-tuning {self.model}: step {self.last_step}{of}{numbers}", fields)

    @guarded
    def _on_begin(self) -> None:
        families.jobs_running().inc(1)
        self._beat()
        fields = {**self._about, "total_steps": self._total, "resumed": self._resumed}
        verb = "resumed" if self._resumed else "started"
        self._publish("started", f"fine-tuning {self.model} {verb}", fields)

    @guarded
    def _on_end(self, seconds: float, error: BaseException | str | None) -> None:
        families.jobs_running().dec(1)
        families.jobs().inc(1, outcome=self.outcome)
        for which in list(self._gauges):
            self._unset(which)
        if self._untold:
            self._tell_step(self._last)
        summary = {
            "outcome": self.outcome,
            "duration_seconds": round(seconds, 3),
            "step": self.last_step,
            "total_steps": self._total,
            "tokens": self._tokens or None,
            "metrics": self._last,
            "lowest": {name: {"value": value, "step": at} for name, (value, at) in self._lowest.items()},
            "highest": {name: {"value": value, "step": at} for name, (value, at) in self._highest.items()},
            "nonfinite": self._nonfinite or None,
            **told_error(error),
        }
        text = f"fine-tuning {self.model} {self.outcome} after {seconds:.1f} s at step {self.last_step}"
        self._publish("ended", text, summary, level=_LEVELS.get(self.outcome, WARNING))
