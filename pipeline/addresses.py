"""Where people reach the dashboard: what links in notifications begin with."""

from __future__ import annotations

from monitoring.pipeline.settings import Settings

__all__ = ["public_url"]

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  looked up, not bound


def public_url(chosen: Settings) -> str:
    """MONITORING_PUBLIC_URL, else host and port of the API; without a slash at its end."""
    if chosen.text("public_url"):
        return chosen.text("public_url").rstrip("/")
    host = chosen.text("host")
    host = _ANYWHERE.get(host, host)
    return f"http://[{host}]:{chosen.whole('port')}" if ":" in host else f"http://{host}:{chosen.whole('port')}"
