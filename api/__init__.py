"""The HTTP API: a thin Flask application over the pipeline.

app.register_blueprint(monitoring.api.blueprint(), url_prefix="/monitoring")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Blueprint

    from monitoring.api.auth import Authorize
    from monitoring.pipeline.settings import Settings

__all__ = ["blueprint"]


def blueprint(settings: Settings | None = None, *, authorize: Authorize | None = None) -> Blueprint:
    """All routes, to be mounted in a Flask application under any prefix; settings: the environment's.

    `authorize` takes Flask's request and returns the user's name and role (`viewer`, `operator`, `admin`), or None
    where the application knows nobody; then keys and sessions count.
    """
    from monitoring.api import app

    return app.blueprint(settings, authorize=authorize)
