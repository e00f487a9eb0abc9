"""The examination: every check of the table, in order; one that fails itself is a problem, not the end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

import apsw

from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.bus.streams import Streams
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.doctor import bus, instance, machine, notices, rules
from monitoring.pipeline.doctor.finding import Examined, Finding, problem
from monitoring.pipeline.errors import MonitoringError, SettingsError
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.status import gather
from monitoring.pipeline.store.catalog import CATALOG_FILE, Catalog

__all__ = ["CHECKS", "examine"]

Check = Callable[[Examined], Finding]

CHECKS: dict[str, Check] = {
    "settings": instance.settings_known,
    "python": machine.python_new_enough,
    "sqlite": machine.sqlite_new_enough,
    "data-directory": machine.data_directory_writable,
    "file-system": machine.local_file_system,
    "disk": machine.disk_not_full,
    "inodes": machine.inodes_left,
    "retention": machine.retention_fits_disk,
    "file-modes": machine.file_modes_closed,
    "open-files": machine.files_may_be_open,
    "port": machine.port_free,
    "release": instance.files_of_this_release,
    "bus": bus.answers,
    "bus-version": bus.new_enough,
    "bus-eviction": bus.evicts_nothing,
    "bus-memory": bus.has_memory,
    "bus-password": bus.password_set,
    "queue": bus.queue_answers,
    "clock": bus.shares_our_clock,
    "partitions": instance.partitions_for_workers,
    "drains": instance.drains_run,
    "ticker": instance.ticker_runs,
    "lag": instance.lag_small,
    "dead-letters": instance.dead_letters_looked_at,
    "rules": rules.rules_work,
    "mail": notices.mail_server_answers,
    "slack": notices.slack_webhook_right,
    "public-url": notices.public_url_reachable,
}
"""In the order of their dependence: what stands above explains what is below."""


def examine(environ: Mapping[str, str], *, running: Callable[[Settings], bool]) -> list[tuple[str, Finding]]:
    """Every check by its name with what it found. Changes nothing, and sends nothing to people.

    `running` tells whether `monitoring up` holds the data directory. Takes up to some seconds for each thing that
    does not answer.
    """
    refused: list[SettingsError] = []
    chosen = settings_table.load(environ, on_problem=refused.append)
    seen = Examined(chosen, environ, running(chosen), refused)
    bus.look_at(seen)
    try:
        _gather(seen)
        return [(name, _look(check, seen)) for name, check in CHECKS.items()]
    finally:
        if seen.client is not None:
            seen.client.close()


def _gather(seen: Examined) -> None:
    """The status, where there is one; why there is none is for the checks of files to say."""
    if not (seen.data / CATALOG_FILE).exists():
        return
    with (
        contextlib.suppress(MonitoringError, apsw.Error, OSError),
        contextlib.closing(Catalog(seen.data / CATALOG_FILE)) as catalog,
    ):
        seen.status = gather(catalog, Streams(seen.client) if seen.client else None, now_ns=wall_ns())


def _look(check: Check, seen: Examined) -> Finding:
    try:
        return check(seen)
    except Exception as error:  # a check that fails is a finding itself, and keeps no other from looking
        return problem(
            f"cannot be examined: {type(error).__name__}: {error}", "read on: another finding may explain it"
        )
