"""Requests of a WSGI application, recorded: Django, Bottle, Pyramid, what one writes by hand.

    from monitoring.producers.wsgi import MonitoringWSGI
    application = MonitoringWSGI(application)

The application may name the route of a request in `environ["monitoring.route"]`; else it is the path with ids left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Unpack

from monitoring.producers.context import current
from monitoring.producers.request import Request
from monitoring.producers.request_body import BodyCopy, CountedInput, is_text
from monitoring.producers.request_policy import Options, Override, Policy
from monitoring.producers.route import NO_ROUTE, folded
from monitoring.producers.work import bug

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Exchange", "MonitoringWSGI"]

ROUTE_KEY = "monitoring.route"
_KEY = "monitoring.recorded"
_UNKNOWN = 1 << 62
_EMPTY_STATUSES = frozenset({204, 304})


class Exchange(Request):
    """One request and its response: the `start_response` that the application calls, the body that the server reads.

    The application's code runs within the request's context: the call itself, each step of the body, its `close`.
    The record is made when the body is whole: when the length that the response announced has been handed out, or at
    the body's end, or where it breaks off.
    """

    __slots__ = (
        "_body",
        "_expected",
        "_mounted",
        "_next",
        "_start_response",
        "_write",
        "environ",
        "named",
        "sent",
        "status",
    )

    def __init__(self, policy: Policy, environ: WSGIEnvironment, start_response: StartResponse) -> None:
        """It begins now."""
        get = environ.get
        Request.__init__(
            self,
            policy,
            get("REQUEST_METHOD", ""),
            get("PATH_INFO", ""),
            get("HTTP_X_REQUEST_ID", ""),
            get("HTTP_TRACEPARENT", ""),
            get("HTTP_TRACESTATE", ""),
        )
        self.environ = environ
        self.status = self.sent = 0
        self._expected = _UNKNOWN
        self.named = ""
        self._mounted = get("SCRIPT_NAME", "")
        self._start_response = start_response
        length = get("CONTENT_LENGTH", "")
        if length and length.isdecimal():
            self.request_bytes = int(length)
        if policy.capture_bodies or "HTTP_TRANSFER_ENCODING" in environ:
            self._watch_input(policy)

    def peer(self) -> tuple[str, str]:
        """See Request."""
        return self.environ.get("REMOTE_ADDR", ""), self.environ.get("HTTP_USER_AGENT", "")

    def query(self) -> str:
        """See Request."""
        query: str = self.environ.get("QUERY_STRING", "")
        return query

    def _watch_input(self, policy: Policy) -> None:
        source = self.environ.get("wsgi.input")
        if source is None:
            return
        content_type = self.environ.get("CONTENT_TYPE", "")
        kept = policy.body_bytes if policy.capture_bodies and is_text(content_type) else 0
        copy = BodyCopy(content_type, kept)
        if kept:
            self.request_body = copy
        self.environ["wsgi.input"] = CountedInput(source, self, copy)

    # -- the response's head ------------------------------------------------------------------------------------------

    def start_response(self, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], object]:
        """The server's, with our headers."""
        try:
            headers = self._answered(status, headers)
        except Exception as error:
            bug("a response could not be looked at", error)
        write = self._start_response(status, headers, *exc_info)
        self._write = write
        return self.write

    def _answered(self, status: str, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        code = status[:3]
        self.status = int(code) if code.isdecimal() else 0
        self.keep_route()
        found = {name.lower(): value for name, value in headers}
        length = found.get("content-length", "")
        if self.method == "HEAD" or self.status in _EMPTY_STATUSES:
            self._expected = 0
        elif length.isdecimal():
            self._expected = int(length)
        policy = self.policy
        if policy.capture_bodies and "content-encoding" not in found and is_text(found.get("content-type", "")):
            self.response_body = BodyCopy(found.get("content-type", ""), policy.body_bytes)
        request_id, traceparent = self.answer()
        answered = [*headers]
        if "x-request-id" not in found:
            answered.append(("X-Request-ID", request_id))
        if "traceparent" not in found:
            answered.append(("traceparent", traceparent))
        return answered

    def keep_route(self) -> None:
        """Note the route as the framework knows it: it may have forgotten when the body ends."""

    def route(self) -> str:
        """See Request."""
        named = self.environ.get(ROUTE_KEY) or self.named
        if named:
            return str(named)
        if self.status == 404:
            return NO_ROUTE
        return folded(self._mounted + self.path) or "/"

    # -- the response's body ------------------------------------------------------------------------------------------

    def over(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """The body that the server gets in place of the application's."""
        wrapper = self.environ.get("wsgi.file_wrapper")
        if wrapper is not None and isinstance(wrapper, type) and isinstance(body, wrapper) and self._at_close(body):
            return body  # the server recognises it by its type, and sends the file without reading it
        self._body = body
        self._next = iter(body).__next__
        return _Sized(self) if hasattr(body, "__len__") else self

    def _at_close(self, body: Any) -> bool:
        """Have the request end when a file is closed; whether that can be."""
        close = getattr(body, "close", None)

        def closed() -> None:
            token = self.enter()
            try:
                if close is not None:
                    close()
            finally:
                self.sent = 0 if self._expected == _UNKNOWN else self._expected
                self.finish()
                self.leave(token)
                self.forget()

        try:
            body.close = closed
        except AttributeError:
            return False
        return True

    def write(self, data: bytes) -> object:
        """The `write` of `start_response`, counted."""
        self.sent += len(data)
        if self.response_body is not None:
            self.response_body.add(data)
        return self._write(data)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        token = current.set(self.context)  # as `enter`, without a call for each part
        try:
            data = self._next()
            if type(data) is bytes:
                self.sent += len(data)
                if self.response_body is not None:
                    self.response_body.add(data)
            if self.sent >= self._expected:
                self.finish()
            return data
        except StopIteration:
            self.finish()
            raise
        except BaseException as error:
            self.fail(error)
            raise
        finally:
            self.context = current.get()
            current.reset(token)

    def close(self) -> None:
        """What servers call at the end of each response, and where it breaks off."""
        token = current.set(self.context)
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        except BaseException as error:
            self.fail(error)
            raise
        finally:
            if not self.ended:
                self.finish(aborted=self._expected == _UNKNOWN or self.sent < self._expected)
            current.reset(token)
            self.forget()

    def finish(self, *, aborted: bool = False) -> None:
        """The response is whole, or else `aborted`."""
        if not self.ended:
            self.end(self.status, self.sent, aborted=aborted)
            self.environ.pop(_KEY, None)

    def fail(self, error: BaseException) -> None:
        """The application raised, or the server ended it."""
        if not self.ended:
            self.report(error)
            self.finish()


class MonitoringWSGI:
    """A WSGI application that records the requests of another. Options win over the settings.

    It changes nothing but the response's headers `X-Request-ID` and `traceparent`, where the application sets none.
    """

    EXCHANGE: type[Exchange] = Exchange
    """What stands between the server and the application for one request."""

    def __init__(self, app: WSGIApplication, /, **options: Unpack[Options]) -> None:
        self.app = app
        self._override = Override(**options)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request."""
        if _KEY in environ:  # somebody in front of us records it
            return self.app(environ, self._naming(environ, start_response))
        try:
            exchange = self.EXCHANGE(self._override.policy(), environ, start_response)
            environ[_KEY] = True
        except Exception as error:
            bug("a request could not be looked at", error)
            return self.app(environ, start_response)
        token = current.set(exchange.context)
        try:
            return exchange.over(self.app(environ, exchange.start_response))
        except BaseException as error:
            exchange.fail(error)
            raise
        finally:
            exchange.context = current.get()
            current.reset(token)

    def _naming(self, environ: WSGIEnvironment, start_response: StartResponse) -> StartResponse:
        """The server's `start_response`, or one that names the route for the middleware in front of us."""
        return start_response


class _Sized:
    """A body whose number of parts is known: servers announce the length of one that has a single part."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __len__(self) -> int:
        return len(self._exchange._body)  # type: ignore[arg-type]  # made for bodies that have one

    def __iter__(self) -> Iterator[bytes]:
        return self._exchange

    def close(self) -> None:
        """See Exchange."""
        self._exchange.close()
