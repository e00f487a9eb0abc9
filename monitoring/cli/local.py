"""What a command changes on the data directory itself goes into the audit log, as what the API changes does."""

from __future__ import annotations

import contextlib
import getpass
from typing import Any

from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.audit import Audit
from monitoring.pipeline.store.control import FILE_NAME, Control

__all__ = ["note"]


def note(chosen: Settings, action: str, object: str, *, before: Any = None, after: Any = None) -> None:  # noqa: A002 - as the column is called
    """Write down that the user of this process has done so. States must hold no secrets."""
    with contextlib.closing(Control(chosen.data / FILE_NAME)) as control:
        Audit(control).record(None, f"local:{_user()}", action, object, before, after)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user that has no entry in passwd
        return "?"
