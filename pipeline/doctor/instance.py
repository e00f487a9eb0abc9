"""Checks of the instance: settings, versions of its files, what runs, what waits."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from monitoring.pipeline.doctor.finding import Examined, Finding, ok, problem, warning
from monitoring.pipeline.errors import MonitoringError
from monitoring.pipeline.store.versions import newer_files

__all__ = [
    "dead_letters_looked_at", "drains_run", "files_of_this_release", "lag_small", "partitions_for_workers",
    "settings_known", "ticker_runs",
]  # fmt: skip

_LAG_SECONDS = 60.0
"""An ordinary lag is under a second; /readyz says no after a minute."""


def settings_known(seen: Examined) -> Finding:
    """Every MONITORING_ name must be a setting, and its value usable."""
    if seen.refused:
        return problem("; ".join(map(str, seen.refused)), "correct the environment: `up` refuses to start with it")
    return ok("every MONITORING_ name is known")


def files_of_this_release(seen: Examined) -> Finding:
    """An older program must not write into files of a newer one."""
    try:
        newer = newer_files(seen.data)
    except MonitoringError as error:
        return problem(str(error), "restore that file from a backup: docs/operations.md")
    if newer:
        return problem(
            f"{newer[0].path} is of version {newer[0].version}, this release knows up to {newer[0].known}"
            + (f" (and {len(newer) - 1} more files)" if len(newer) > 1 else ""),
            "run the newer release, or restore a backup that was made with this one",
        )
    return ok("the data directory is of this release or older" if seen.data.is_dir() else "there are no data yet")


def partitions_for_workers(seen: Examined) -> Finding:
    """A drain needs a partition."""
    partitions = sum(part["signal"] == "logs" for part in (seen.status or {}).get("partitions", []))
    workers = max(seen.settings.whole("workers"), (seen.status or {}).get("drains", 0))
    if not partitions or workers <= partitions:
        return ok(f"{partitions} partitions, {workers} drains" if partitions else "there are no partitions yet")
    return warning(
        f"{workers} drains share {partitions} partitions of the logs: the others wait",
        f"lower MONITORING_WORKERS to {partitions}; MONITORING_PARTITIONS counts when the data directory is made",
    )


def drains_run(seen: Examined) -> Finding:
    """Without drains events wait on the bus."""
    if seen.status is None:
        return ok("there is no store yet")
    if seen.status["drains"]:
        return ok(f"{seen.status['drains']} drains at work")
    waiting = sum(part["lag"]["frames"] for part in seen.lags)
    advice = "start `monitoring up`, or `monitoring worker --queue drain`; its log says why one ends"
    if waiting or seen.running:
        return problem(f"no drain is at work, and {waiting} frames wait", advice)
    return warning("no drain is at work", advice)


def ticker_runs(seen: Examined) -> Finding:
    """Without the ticker nothing that ended is started again, and no notice is sent."""
    if seen.status is None:
        return ok("there is no store yet")
    if _is_locked(seen.data / "ticker.lock"):
        return ok("a ticker is at work")
    advice = "start `monitoring up`, or `monitoring ticker` beside workers that run alone"
    if seen.running or seen.status["drains"]:
        return problem("no ticker is at work: drains end and are not started again, no notice is sent", advice)
    return warning("no ticker is at work", advice)


def _is_locked(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def lag_small(seen: Examined) -> Finding:
    """How long the oldest frame waits."""
    if not seen.lags:
        return ok("not known: store or bus do not answer")
    worst = max(seen.lags, key=lambda part: float(part["lag"]["seconds"]))
    seconds, frames = worst["lag"]["seconds"], worst["lag"]["frames"]
    if frames and seconds > _LAG_SECONDS:
        return problem(
            f"{worst['signal']} {worst['partition']}: {frames} frames wait, the oldest for {seconds:.0f} s",
            "see whether the disk is full or slow, then start more drains: docs/operations.md, More work at once",
        )
    return ok("nothing waits for long")


def dead_letters_looked_at(seen: Examined) -> Finding:
    """Input that nobody could understand is kept for somebody to look at."""
    if seen.status is None:
        return ok("there is no store yet")
    count = sum(seen.status[totals]["dead_lettered"] for totals in ("totals", "metrics"))
    if count:
        return warning(
            f"{count:,} dead letters", "`monitoring dead-letters list` shows what was not understood, and from where"
        )
    return ok("no dead letters")
