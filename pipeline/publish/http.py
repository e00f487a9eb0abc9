"""The Transport for services that cannot reach the bus: the same frames over `/api/v1/frames`.

GET  /api/v1/frames                                   -> {"partitions": {"logs": 2, "metrics": 1}}
POST /api/v1/frames?signal&partition&lane   records   -> 202 {"ids": [...], "low": n, "full": false}
GET  /api/v1/frames?signal&partition&lane&id          -> {"present": true}
PUT  /api/v1/frames?signal&partition&lane   JSON      -> 204
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson

from monitoring.pipeline.bus.frame import Frame
from monitoring.pipeline.bus.streams import Reply
from monitoring.pipeline.errors import BusFull, BusRefused, BusUnavailable, IngestRefused, SettingsError, SignalUnknown

__all__ = ["HttpTransport"]

TIMEOUT_SECONDS = 10.0
"""The API answers within milliseconds after it has the body; this is for slow networks."""
_PATH = "/api/v1/frames"
_MAX_ANSWER_BYTES = 1 << 20
_LONGEST_PAUSE_SECONDS = 300.0
"""A Retry-After beyond this is not believed."""


class HttpTransport:
    """The Transport over HTTP or HTTPS, one kept-alive connection. Not shared between threads or forks.

    Errors, beside those of Transport: a key that is missing or not allowed is BusRefused, a body that the
    server takes for too large IngestRefused, 429 and 503 BusFull with the server's Retry-After.
    Proxies named in the environment are not used.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`url` is the API's address, with the prefix it is mounted at if any. Raises SettingsError.

        `tls` replaces the platform's trusted certificates.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(f"MONITORING_URL={url}: expected an address like http://127.0.0.1:8321")
        try:
            port = parts.port
        except ValueError as error:
            raise SettingsError(f"MONITORING_URL={url}: {error}") from None
        self._origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._path = parts.path.rstrip("/") + _PATH
        self._headers = {"Authorization": f"Bearer {api_key}", "Accept": "application/json"}
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            self._connection = http.client.HTTPSConnection(
                parts.hostname, port, timeout=timeout_seconds, context=tls or ssl.create_default_context()
            )
        else:
            self._connection = http.client.HTTPConnection(parts.hostname, port, timeout=timeout_seconds)
        self._fresh = True

    def partitions(self, signal: str) -> int:
        """See Transport."""
        answer = self._ask("GET", {})
        try:
            count = answer["partitions"].get(signal)
            if count is None:
                raise SignalUnknown(f"the instance at {self._origin} takes no {signal}")
            return int(count)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise BusRefused(f"{self._origin} did not tell its partitions: its release is another than ours") from None

    def publish(self, signal: str, partition: int, lane: str, frames: Sequence[Frame]) -> Reply:
        """See Transport."""
        body = b"".join([frame.to_record() for frame in frames])
        answer = self._ask("POST", _address(signal, partition, lane), body, "application/octet-stream")
        try:
            reply = Reply([str(entry_id) for entry_id in answer["ids"]], int(answer["low"]), bool(answer["full"]))
        except (KeyError, TypeError, ValueError) as error:
            raise BusUnavailable(f"{self._origin} answered something else than a monitoring API: {error}") from None
        if len(reply.ids) != len(frames):
            raise BusUnavailable(f"{self._origin} took {len(reply.ids)} of {len(frames)} frames")
        return reply

    def present(self, signal: str, partition: int, entry_id: str) -> bool:
        """See Transport."""
        answer = self._ask("GET", {**_address(signal, partition, "0" * 32), "id": entry_id})
        return bool(answer.get("present"))

    def report(self, signal: str, partition: int, lane: str, facts: Mapping[str, Any]) -> None:
        """See Transport."""
        self._ask("PUT", _address(signal, partition, lane), orjson.dumps(dict(facts)), "application/json")

    def close(self) -> None:
        """See Transport."""
        self._connection.close()
        self._fresh = True

    def _ask(self, method: str, params: Mapping[str, str], body: bytes | None = None, content: str = "") -> Any:
        headers = {**self._headers, "Content-Type": content} if content else self._headers
        target = f"{self._path}?{urlencode(params)}" if params else self._path
        status, retry_after, answer = self._round_trip(method, target, body, headers)
        if status not in (200, 202, 204):
            raise self._error(status, retry_after, answer)
        if status == 204:
            return {}
        try:
            return orjson.loads(answer)
        except orjson.JSONDecodeError:
            raise BusUnavailable(f"{self._origin} answered something else than JSON: is it a monitoring API?") from None

    def _round_trip(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, str, bytes]:
        """Status, Retry-After and body of the answer.

        A kept-alive connection may have been closed by the server at the moment of writing; the request is made
        once more then, on a new one. Frames that arrive twice are absorbed like any replay.
        """
        while True:
            fresh, self._fresh = self._fresh, False
            try:
                with suppress(BrokenPipeError):  # it may have answered before it had the whole body
                    self._connection.request(method, target, body, dict(headers))
                response = self._connection.getresponse()
                answer = response.read(_MAX_ANSWER_BYTES + 1)
            except (ConnectionError, http.client.BadStatusLine) as error:
                self.close()
                if not fresh:
                    continue
                raise self._unavailable(error) from error
            except (OSError, http.client.HTTPException) as error:
                self.close()
                raise self._unavailable(error) from error
            if len(answer) > _MAX_ANSWER_BYTES or not response.isclosed():
                self.close()
            return response.status, response.headers.get("Retry-After", ""), answer

    def _unavailable(self, error: Exception) -> BusUnavailable:
        return BusUnavailable(f"{self._origin} did not answer: {error or type(error).__name__}")

    def _error(self, status: int, retry_after: str, answer: bytes) -> Exception:
        detail = _detail(answer)
        if status == 401:
            return BusRefused(f"{self._origin} does not know the key: set MONITORING_API_KEY (`monitoring keys`)")
        if status == 403:
            return BusRefused(f"{self._origin} does not let this key write: it needs the role ingest{detail}")
        if 300 <= status < 400:
            return BusRefused(f"{self._origin} redirects elsewhere: set MONITORING_URL to the API's own address")
        if status in (404, 405):
            return BusRefused(f"there is no monitoring API at {self._origin}{self._path} (HTTP {status})")
        if status == 413:
            return IngestRefused(f"{self._origin} takes no body of this size: raise MONITORING_MAX_BODY there{detail}")
        if status in (429, 503):
            full = BusFull(f"{self._origin} takes nothing now{detail}")
            full.retry_after_seconds = _seconds(retry_after)
            return full
        if status >= 500:
            return BusUnavailable(f"{self._origin} failed (HTTP {status}){detail}")
        return BusRefused(f"{self._origin} refused the request (HTTP {status}){detail}")


def _address(signal: str, partition: int, lane: str) -> dict[str, str]:
    return {"signal": signal, "partition": str(partition), "lane": lane}


def _detail(answer: bytes) -> str:
    """What the problem document says, for the end of a sentence."""
    with suppress(orjson.JSONDecodeError, AttributeError):
        return f": {str(orjson.loads(answer).get('detail', ''))[:500]}"
    return ""


def _seconds(retry_after: str) -> float:
    try:
        return min(max(0.0, float(retry_after)), _LONGEST_PAUSE_SECONDS)
    except ValueError:
        return 0.0  # a date, or nothing: our own pause it is
