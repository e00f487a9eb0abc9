"""Which instance a command talks to: the data directory of this machine, else one over HTTP.

The owner of a data directory may do everything in it and needs no key. Without one, MONITORING_URL names
the instance and MONITORING_API_KEY the key.
"""

from __future__ import annotations

import contextlib
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson

from monitoring.pipeline.errors import MonitoringError, PermanentError, RetryableError, SettingsError
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.catalog import CATALOG_FILE

__all__ = ["Remote", "is_local", "remote"]

TIMEOUT_SECONDS = 30.0
_MOST_BYTES = 64 << 20


def is_local(settings: Settings) -> bool:
    """Whether the data directory is on this machine. Raises SettingsError where there is no instance to talk to."""
    with contextlib.suppress(PermissionError):  # somebody else's directory: theirs is reached over HTTP
        if (settings.data / CATALOG_FILE).exists():
            return True
    if settings.text("url"):
        return False
    raise SettingsError(
        f"no instance: {settings.data} has none (start `monitoring up`, or set MONITORING_DATA_DIR), and "
        "MONITORING_URL with MONITORING_API_KEY names none"
    )


def remote(settings: Settings) -> Remote:
    """The instance that MONITORING_URL names. Raises SettingsError where its key is missing."""
    if not settings.text("api_key"):
        raise SettingsError("MONITORING_URL is set but MONITORING_API_KEY is not")
    return Remote(settings.text("url"), settings.text("api_key"))


class Remote:
    """An instance over HTTP. Raises RetryableError where it does not answer, PermanentError where it refuses."""

    def __init__(self, url: str, key: str) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise SettingsError(f"MONITORING_URL={url}: expected http:// or https://")
        self._url = url.rstrip("/")
        self._key = key

    def call(self, method: str, *path: str, query: Mapping[str, str] | None = None, body: Any = None) -> Any:
        """The JSON that the endpoint answers; `path` is its parts behind /api/v1."""
        address = "/".join((self._url, "api", "v1", *(quote(part, safe="") for part in path)))
        if query:
            address += f"?{urlencode(query)}"
        return self._exchange(method, address, body)

    def ask(self, path: str, query: Mapping[str, str]) -> Any:
        """The JSON that a GET of this path, from the root, answers."""
        return self._exchange("GET", f"{self._url}/{path}?{urlencode(query)}", None)

    def stream(self, *path: str, query: Mapping[str, str]) -> Iterator[bytes]:
        """What a GET of the endpoint answers, as it comes."""
        address = "/".join((self._url, "api", "v1", *(quote(part, safe="") for part in path)))
        request = urllib.request.Request(  # nosec B310  # noqa: S310 - the scheme was checked
            f"{address}?{urlencode(query)}", headers={"Authorization": f"Bearer {self._key}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # nosec B310  # noqa: S310 - the scheme was checked
                while piece := answer.read(1 << 16):
                    yield piece
        except urllib.error.HTTPError as error:
            raise _refusal(error) from error
        except (OSError, ValueError) as error:
            raise RetryableError(f"{self._url} does not answer: {getattr(error, 'reason', error)}") from error

    def _exchange(self, method: str, address: str, body: Any) -> Any:
        request = urllib.request.Request(  # nosec B310  # noqa: S310 - the scheme was checked
            address,
            data=None if body is None else orjson.dumps(body),
            method=method,
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # nosec B310  # noqa: S310 - the scheme was checked
                return orjson.loads(answer.read(_MOST_BYTES) or b"null")
        except urllib.error.HTTPError as error:
            raise _refusal(error) from error
        except (OSError, ValueError) as error:
            raise RetryableError(f"{self._url} does not answer: {getattr(error, 'reason', error)}") from error


def _refusal(error: urllib.error.HTTPError) -> MonitoringError:
    kind = RetryableError if error.code in (429, 503) else PermanentError
    try:
        problem = orjson.loads(error.read(1 << 20))
        if "errorType" in problem:  # Prometheus' shape
            return kind(problem["error"])
        fix = f" ({problem['fix']})" if problem.get("fix") else ""
        field = problem.get("field") or ""
        return kind(f"{'' if problem['detail'].startswith(field) else f'{field}: '}{problem['detail']}{fix}")
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return kind(f"{error.url} answered {error.code}")
