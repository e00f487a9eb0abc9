"""Where people reach the dashboard, and where this machine reaches its API."""

from __future__ import annotations

from monitoring.pipeline.settings import Settings

__all__ = ["public_url", "reachable", "url_of"]

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  looked up, not bound


def reachable(host: str) -> str:
    """The host by which this machine reaches a listener on it: one on every address is reached by loopback."""
    return _ANYWHERE.get(host, host)


def url_of(host: str, port: int) -> str:
    """The URL of a listener, as one would type it on its machine."""
    host = reachable(host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def public_url(chosen: Settings) -> str:
    """MONITORING_PUBLIC_URL, else host and port of the API; without a slash at its end."""
    return chosen.text("public_url").rstrip("/") or url_of(chosen.text("host"), chosen.whole("port"))
