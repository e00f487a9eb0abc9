"""The ids of the work at hand, carried onward: by `requests`, `httpx` and RQ, found again by whoever is called.

    instrument()     ->  X-Request-ID, traceparent and tracestate on every outgoing request made within a request
    headers()        ->  the same for other clients, to be added by hand

An id tells nothing but that two requests belong together; where even that is too much, `instrument(hosts=…)`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, MutableMapping
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from monitoring.producers import patches, rq
from monitoring.producers.imports import forget, when_imported
from monitoring.producers.work import bug, carried

__all__ = ["headers", "instrument", "uninstrument"]

_NAMES = {"request_id": "X-Request-ID", "traceparent": "traceparent", "tracestate": "tracestate"}
_on = False
_hosts: tuple[str, ...] | None = None


def instrument(hosts: Iterable[str] | None = None) -> None:
    """Carry ids onward from now on, in libraries that are imported already and in those that will be.

    `hosts` are the only ones that get them, `*.example.com` standing for all below; None is all. Calling it again
    changes the hosts. `start_monitoring_with_config()` has called it.
    """
    global _on, _hosts
    _on = True
    _hosts = None if hosts is None else tuple(host.lower() for host in hosts)
    for name, patch in (("requests", _patch_requests), ("httpx", _patch_httpx), ("rq", rq.patch)):
        when_imported(name, functools.partial(_patched, patch))


def uninstrument() -> None:
    """Leave the libraries as they were."""
    global _on
    _on = False  # for a method of ours that somebody else keeps
    forget()
    patches.restore_all()


def headers() -> dict[str, str]:
    """The headers that carry the ids of the work at hand; none where there is none."""
    return {_NAMES[name]: value for name, value in carried().items()}


def _patched(patch: Callable[[ModuleType], None], module: ModuleType) -> None:
    try:
        patch(module)
    except Exception as error:  # a version of the library that is made otherwise
        bug(f"{module.__name__} will not carry ids", error)


def _patch_requests(module: ModuleType) -> None:
    """`Session.send`, which each redirect passes as well."""
    patches.replace_method(module.Session, "send", lambda send: _carrying(send, lambda url: urlsplit(url).hostname))


def _patch_httpx(module: ModuleType) -> None:
    """One level below `Client.send`, so that each redirect passes; the asynchronous one returns what is awaited."""
    for client in (module.Client, module.AsyncClient):
        name = "_send_single_request" if hasattr(client, "_send_single_request") else "send"
        patches.replace_method(client, name, lambda send: _carrying(send, lambda url: url.host))


def _carrying(send: Callable[..., Any], host_of: Callable[[Any], str | None]) -> Callable[..., Any]:
    """`send(self, request, …)` with the ids in the request's headers."""

    @functools.wraps(send)
    def carrying(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            if _on:
                _put(request.headers, host_of(request.url) or "")
        except Exception as error:
            bug("ids could not be carried on", error)
        return send(self, request, *args, **kwargs)

    return carrying


def _put(target: MutableMapping[str, str], host: str) -> None:
    """What the application has set itself stays. A redirect to another host must not take along what is not for it."""
    ours = headers()
    if _hosts is None or _fits(host.lower(), _hosts):
        if "traceparent" in target:
            ours.pop("tracestate", None)
        for name, value in ours.items():
            target.setdefault(name, value)
    else:
        for name, value in ours.items():
            if target.get(name) == value:
                del target[name]


def _fits(host: str, patterns: tuple[str, ...]) -> bool:
    return any(host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:])) for pattern in patterns)
