"""Evaluations: a suite of cases tried on a model, scores, and whether they are good enough."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from monitoring.producers.llm import families
from monitoring.producers.llm.leaving import arrive, leave
from monitoring.producers.llm.recording import guarded, label, named_numbers, number, publish, told_error, wrong
from monitoring.producers.llm.runs import Clock, Run, outcome_of
from monitoring.producers.logger import DEBUG, ERROR, INFO, WARNING
from monitoring.producers.values import shown

__all__ = ["Evaluation"]

_LEVELS = {"failed": WARNING, "error": ERROR, "cancelled": WARNING}
_RESULTS = {True: "passed", False: "failed", None: "unjudged"}


class Evaluation(Run):
    """An evaluation of a model. Use it in a `with` block, or with `start` and `finish`.

        with llm.evaluation("mmlu-mini", model="support-bot-v3", at_least={"accuracy": 0.7}) as evaluation:
            for case in cases:
                evaluation.case(case.id, passed=answer(case) == case.answer)
            evaluation.score(accuracy=0.81)

    The outcome is "passed" or "failed" by the thresholds `at_least` and `at_most`, or as `finish(passed=…)` says;
    "scored" where nobody judges; "error" with an exception; "cancelled" by Ctrl-C, `sys.exit` or a cancelled task.
    A score that a threshold needs and that is missing or NaN fails it.

    Cases are only counted; each is an event at DEBUG. Where there were some, `pass_rate` and `mean_score` are among
    the scores, unless told. Nothing here raises or blocks.
    """

    def __init__(
        self,
        suite: str,
        *,
        model: str,
        dataset: str = "",
        at_least: Mapping[str, float] | None = None,
        at_most: Mapping[str, float] | None = None,
        config: Mapping[str, Any] | None = None,
        run_id: str = "",
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__("evaluation", run_id, clock)
        self.suite, self.model, self.dataset = label(suite), label(model), label(dataset)
        self.scores: dict[str, float] = {}
        self._at_least, self._at_most = _thresholds(at_least), _thresholds(at_most)
        self._config = config
        self._cases = _Tally()
        self._passed: bool | None = None

    @guarded
    def score(self, **scores: Any) -> None:
        """Scores by name; a later one of the same name wins."""
        if not self._is_over("score"):
            self.scores.update(named_numbers(scores, "score"))

    @guarded
    def case(self, case_id: object, *, passed: bool | None = None, score: Any = None, **fields: Any) -> None:
        """A case was tried. The fields go into its event at DEBUG and nowhere else."""
        if self._is_over("case"):
            return
        judged = None if passed is None else bool(passed)
        as_float = number(score)
        if as_float is None and score is not None:
            wrong(f"case: score={shown(score, 40)} is not a number")
        self._cases.add(judged, as_float)
        families.evaluation_cases().inc(1, suite=self.suite, result=_RESULTS[judged])
        about = {**fields, "case": str(case_id), "passed": judged, "score": as_float}
        text = f"evaluation {self.suite} of {self.model}: case {case_id} {_RESULTS[judged]}"
        self._publish("case", text, about, level=DEBUG, optional=True)

    @guarded
    def finish(self, *, passed: bool | None = None, error: BaseException | str | None = None, **scores: Any) -> None:
        """End the evaluation with its last scores; `passed` overrules the thresholds. In a block it is not needed."""
        self.scores.update(named_numbers(scores, "finish"))
        self._passed = None if passed is None else bool(passed)
        self._end(outcome_of(error), error)

    def _missed(self) -> list[str]:
        """The thresholds that are not met, as text."""
        lines = [(name, ">=", value) for name, value in self._at_least.items()]
        lines += [(name, "<=", value) for name, value in self._at_most.items()]
        missed = []
        for name, sign, threshold in lines:
            found = self.scores.get(name, math.nan)
            if not (found >= threshold if sign == ">=" else found <= threshold):
                missed.append(f"{name} is {found:.6g}, not {sign} {threshold:.6g}")
        return missed

    def _judged(self, missed: list[str]) -> str:
        if self.outcome != "succeeded":
            return "error" if self.outcome == "failed" else self.outcome
        if self._passed is not None:
            return "passed" if self._passed else "failed"
        if not self._at_least and not self._at_most:
            return "scored"
        return "failed" if missed else "passed"

    @guarded
    def _on_begin(self) -> None:
        families.evaluations_running().inc(1)
        thresholds = {"at_least": self._at_least or None, "at_most": self._at_most or None, "config": self._config}
        about = {name: value for name, value in thresholds.items() if value is not None}
        self._publish("started", f"evaluation {self.suite} of {self.model} started", about)

    @guarded
    def _on_end(self, seconds: float, error: BaseException | str | None) -> None:
        families.evaluations_running().dec(1)
        self.scores = {**self._cases.scores(), **self.scores}
        missed = self._missed()
        self.outcome = self._judged(missed)
        families.evaluations().inc(1, suite=self.suite, outcome=self.outcome)
        for name, value in self.scores.items():
            labels = {"suite": self.suite, "dataset": self.dataset, "model": self.model, "metric": label(name)}
            if math.isfinite(value):
                arrive(families.evaluation_score(), labels).set(value)
                leave(families.evaluation_score(), labels)
        summary = {
            "outcome": self.outcome,
            "duration_seconds": round(seconds, 3),
            "scores": self.scores,
            "at_least": self._at_least or None,
            "at_most": self._at_most or None,
            "missed": missed or None,
            **self._cases.summary(),
            **told_error(error),
        }
        numbers = "".join(f" {name}={value:.6g}" for name, value in list(self.scores.items())[:8])
        text = f"evaluation {self.suite} of {self.model} {self.outcome}{numbers}"
        self._publish("ended", text, summary, level=_LEVELS.get(self.outcome, INFO))

    def _publish(
        self, name: str, text: str, fields: dict[str, Any], *, level: int = INFO, optional: bool = False
    ) -> None:
        known = {key: value for key, value in fields.items() if value is not None}
        run = {"run_id": self.run_id, "suite": self.suite, "model": self.model, "dataset": self.dataset or None}
        about = {key: value for key, value in run.items() if value is not None}
        publish(f"llm.evaluation.{name}", text, {**known, **about}, level=level, optional=optional)


def _thresholds(given: Mapping[str, float] | None) -> dict[str, float]:
    """Those that are numbers; what is none is told, and decides nothing."""
    if isinstance(given, Mapping):
        return named_numbers(given, "threshold")
    if given is not None:
        wrong(f"thresholds are a mapping of names to numbers, and {shown(given, 40)} is none")
    return {}


class _Tally:
    """Cases counted, by any thread. Those that a forked child counts stay with it."""

    def __init__(self) -> None:
        self._pid, self._lock = os.getpid(), threading.Lock()
        self._total = self._passed = self._judged = self._scored = 0
        self._sum = 0.0

    def add(self, passed: bool | None, score: float | None) -> None:
        """One more case."""
        if self._pid != os.getpid():  # another thread of the parent may have held the lock when this was forked
            self._pid, self._lock = os.getpid(), threading.Lock()
        with self._lock:
            self._total += 1
            if passed is not None:
                self._judged += 1
                self._passed += passed
            if score is not None:
                self._scored += 1
                self._sum += score

    def summary(self) -> dict[str, int]:
        """The counts, for the event; nothing where there were no cases."""
        return {"cases": self._total, "cases_passed": self._passed} if self._total else {}

    def scores(self) -> dict[str, float]:
        """What the cases amount to."""
        found = {}
        if self._judged:
            found["pass_rate"] = self._passed / self._judged
        if self._scored:
            found["mean_score"] = self._sum / self._scored
        return found
