"""Pages of other sites: none may read answers but those of `MONITORING_CORS_ORIGINS`, with a key, without cookies."""

from __future__ import annotations

import re

from flask import Response, request

from monitoring.pipeline.errors import SettingsError
from monitoring.pipeline.settings import Settings

__all__ = ["Origins"]

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")
_HEADERS = "Authorization, Content-Type, Content-Encoding, Idempotency-Key, Last-Event-ID, X-Request-Id"
_SHOWN = "Retry-After, X-Request-Id, Idempotent-Replayed"
_REMEMBERED_SECONDS = "600"


class Origins:
    """The sites that are listed. Raises SettingsError for what is no origin; `*` is none."""

    def __init__(self, settings: Settings) -> None:
        self._listed = frozenset(settings.names("cors_origins"))
        for origin in self._listed:
            if not _ORIGIN.fullmatch(origin):
                raise SettingsError(f"MONITORING_CORS_ORIGINS: {origin!r} is not like https://tools.example.org")

    def __bool__(self) -> bool:
        return bool(self._listed)

    def allow(self, response: Response) -> Response:
        """Let the page read the response if its site is listed."""
        if self._listed:
            response.headers.add("Vary", "Origin")
            origin = request.headers.get("Origin", "")
            if origin in self._listed:
                response.headers["Access-Control-Allow-Origin"] = origin
                response.headers["Access-Control-Expose-Headers"] = _SHOWN
        return response

    def answer(self, methods: str) -> Response:
        """The answer to a browser that asks first whether it may."""
        response = self.allow(Response(status=204))
        if "Access-Control-Allow-Origin" in response.headers:
            response.headers["Access-Control-Allow-Methods"] = methods
            response.headers["Access-Control-Allow-Headers"] = _HEADERS
            response.headers["Access-Control-Max-Age"] = _REMEMBERED_SECONDS
        return response
