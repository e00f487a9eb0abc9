"""Start and stop of the monitoring of this process.

from monitoring.startup import start_monitoring_with_config
start_monitoring_with_config()
"""

from __future__ import annotations

import os
from typing import Any

__all__ = ["flush_monitoring", "start_monitoring_with_config", "stop_monitoring"]


def start_monitoring_with_config(**overrides: Any) -> None:
    """Publish logs and metrics of this process from now on, as the environment says (`monitoring config`).

    Overrides are settings named without their prefix, as in `service="shop", collectors="none"`; they win over the
    environment. Calling it again does nothing. It does not wait for the bus: events are kept in memory until it
    answers. Nothing that is wrong with the environment or the bus raises; it is told on standard error.

    Forked children publish, too, without calling it again.
    """
    from monitoring.producers import sdk

    sdk.start(os.environ, overrides)


def flush_monitoring(timeout_seconds: float = 5.0) -> bool:
    """Wait until everything so far is on the bus, or in the spool where there is one; whether that came in time."""
    from monitoring.producers import sdk

    started = sdk.running()
    return started is None or started.flush(timeout_seconds)


def stop_monitoring(timeout_seconds: float = 5.0) -> bool:
    """Send what there is and stop; whether everything is on the bus, or in the spool, in time. May be called twice.

    The end of the interpreter does the same by itself, within three seconds.
    """
    from monitoring.producers import sdk

    return sdk.stop(timeout_seconds)
