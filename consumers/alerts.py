"""The alerts job: every rule that is due, in one job.

    read rule files -> claim due rules -> evaluate each -> commit them together -> until none is due

A rule that fails is that rule's error. A worker that dies leaves its rules claimed for a minute; what it had
committed stays, the rest is evaluated by the next. Several workers share the rules that are due.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any

from monitoring.consumers import stop
from monitoring.pipeline import failpoint
from monitoring.pipeline.addresses import public_url
from monitoring.pipeline.alerts import notice
from monitoring.pipeline.alerts.defaults import defaults
from monitoring.pipeline.alerts.evaluate import Evaluation, Sources
from monitoring.pipeline.alerts.evaluator import evaluate
from monitoring.pipeline.alerts.moving import moved
from monitoring.pipeline.alerts.observation import Observation
from monitoring.pipeline.alerts.rule import Rule
from monitoring.pipeline.bus.streams import Streams, connect
from monitoring.pipeline.clock import NowNs, wall_ns
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.ranges import LATEST
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store import references, rule_files
from monitoring.pipeline.store.alerts import Samples
from monitoring.pipeline.store.channels import Channels
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.pipeline.store.evaluations import Evaluated, commit
from monitoring.pipeline.store.evaluations import known as known_alerts
from monitoring.pipeline.store.logs import open_logs
from monitoring.pipeline.store.observing import Observing
from monitoring.pipeline.store.rules import Rules, Stored

__all__ = ["Defaults", "Evaluating", "run"]

_log = logging.getLogger("monitoring.alerts")

CHUNK = 100
"""Rules a commit: an fsync takes some milliseconds, and what a crash undoes is evaluated again."""
CHUNK_SECONDS = 10.0
"""What is evaluated is committed after this, and rules that were not come to are given back."""
JOB_SECONDS = 60.0
"""A job ends after this although more is due; the ticker has the next one."""
_RULE_SECONDS = 5.0
"""A rule's evaluation may take no longer: a dozen slow ones must not hold up the others for a minute."""
_SAMPLE_SECONDS = 1.0
_MOST_SAMPLED = 20
"""Groups of a rule that get log lines when they become alerts at the same time."""

Defaults = Callable[[], Sequence[str]]
"""Names of the channels of rules that name none."""


def run(chosen: Settings) -> dict[str, int]:
    """The job: evaluate what is due; how many rules were."""
    with ExitStack() as stack:
        control = stack.enter_context(closing(Control(chosen.data / FILE_NAME)))
        store = stack.enter_context(closing(open_logs(chosen)))
        client = stack.enter_context(closing(connect(chosen.text("bus_url"))))
        sources = stack.enter_context(closing(Observing(chosen, control, store=store, streams=lambda: Streams(client))))
        return Evaluating(chosen, control, sources, lambda: _default_channels(control, chosen)).run()


class Evaluating:
    """One job. `now_ns` is the wall clock; `channels` names who is told where a rule names nobody."""

    def __init__(
        self, chosen: Settings, control: Control, sources: Sources, channels: Defaults, *, now_ns: NowNs = wall_ns
    ) -> None:
        self.defaults: Sequence[Rule] = defaults()
        self._settings = chosen
        self._control, self._sources, self._channels, self._now_ns = control, sources, channels, now_ns
        self._rules = Rules(control, now_ns=now_ns)
        self._directory = rule_files.directory(chosen)
        self._base_url = public_url(chosen)
        self._seconds = min(_RULE_SECONDS, chosen.number("query_timeout"))

    def run(self) -> dict[str, int]:
        """Everything that is due, in chunks."""
        ends, done = time.monotonic() + JOB_SECONDS, 0
        self._rules.add_defaults(self.defaults)
        if rule_files.sync(self._control, self._directory, self._now_ns(), base_url=self._base_url):
            self._tell_files()
        while not stop.requested() and time.monotonic() < ends:
            claimed = self._rules.claim(CHUNK)
            if not claimed:
                break
            done += self._chunk(claimed)
        return {"evaluated": done}

    def _tell_files(self) -> None:
        """Say once what is wrong in files of rules, and what they name in vain: their authors may not look here."""
        names = references.known(self._control, self._settings)
        found = references.described(self._rules.all(), rule_files.files(self._control), names)
        for file in found["files"]:
            for error in file["errors"]:
                _log.error("%s:%d: %s", file["path"], error["line"], error["message"])
            for warning in file["warnings"]:
                _log.warning("%s:%d: %s", file["path"], warning["line"], warning["message"])

    def _chunk(self, claimed: Sequence[Stored]) -> int:
        ends, found = time.monotonic() + CHUNK_SECONDS, []
        for stored in claimed:
            if stop.requested() or time.monotonic() > ends:
                break
            found.append(self._evaluated(stored))
        failpoint.hit("alerts_before_commit")
        done = commit(
            self._control, found, self._now_ns(), base_url=self._base_url, default_channels=self._channels()
        )  # fmt: skip
        failpoint.hit("alerts_after_commit")
        if len(found) < len(claimed):
            self._rules.release(claimed[len(found) :])
        return done

    def _evaluated(self, stored: Stored) -> Evaluated:
        rule, began = stored.rule, time.perf_counter()
        samples: Samples = {}
        try:
            answer = evaluate(rule, self._sources, self._now_ns(), seconds=self._seconds)
            samples = self._samples(stored, answer.observation)
        except Exception as error:  # a bug in one rule's way must not stop the others: it is logged and shown
            _log.exception("rule %r failed", rule.name)
            answer = Evaluation(Observation(self._now_ns(), error=f"{type(error).__name__}: {error}"[:1000]))
        took = (time.perf_counter() - began) * 1000
        return Evaluated(stored, answer.observation, took, samples, answer.seen)

    def _samples(self, stored: Stored, seen: Observation) -> dict[str, list[Mapping[str, Any]]]:
        """Log lines for the groups that would become alerts now: read before the transaction, not within it."""
        rule = stored.rule
        if seen.error or not any(each.value is None or rule.beyond(each.value) for each in seen.findings.values()):
            return {}
        steps = moved(rule, known_alerts(self._control, rule, self._now_ns()), seen)
        found: dict[str, list[Mapping[str, Any]]] = {}
        for step in steps:
            if step.after.state == "active" and step.after.told != "firing" and len(found) < _MOST_SAMPLED:
                window = max(rule.window_seconds, 300) * 1_000_000_000
                page = self._sources.logs.search(
                    notice.sample_query(step.after, rule), seen.at - window, LATEST,
                    deadline=Deadline(_SAMPLE_SECONDS), limit=notice.MOST_SAMPLES,
                )  # fmt: skip
                found[step.after.fingerprint] = page.events
        return found


def _default_channels(control: Control, chosen: Settings) -> Sequence[str]:
    return Channels(control, chosen).default_names()
