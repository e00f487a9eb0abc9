"""Reverse proxies that are believed: who asks, from where, under which host. Everybody else's headers are ignored."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from monitoring.pipeline.errors import SettingsError
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.keys import ROLES

if TYPE_CHECKING:
    from flask import Request  # `monitoring up` checks the settings without it

__all__ = ["Proxies"]

_USER = re.compile(r"[\w.@+\-\\ ]{1,128}")
"""Names of users as directories have them: no comma, for a header that came twice is joined by one."""
_ANYBODY = "*"


class Proxies:
    """What the settings say of proxies in front. Raises SettingsError, with the setting's name, for what cannot be."""

    def __init__(self, settings: Settings) -> None:
        self._networks = [_network(text) for text in settings.names("proxy_addresses")]
        self._header = settings.text("proxy_user_header")
        self._roles = _roles(settings)

    def trusts(self, request: Request) -> bool:
        """Whether the connection comes from one of them."""
        return bool(self._networks) and self._listed(request.remote_addr or "")

    def user(self, request: Request) -> str:
        """The user that a trusted proxy has logged in; "" without one, and for a name that cannot be one."""
        if not self.trusts(request):
            return ""
        name = request.headers.get(self._header, "").strip()
        return name if _USER.fullmatch(name) else ""

    def role(self, user: str) -> str | None:
        """What this user may; None: nothing."""
        return self._roles.get(user, self._roles.get(_ANYBODY))

    def client(self, request: Request) -> str:
        """Where the request comes from: the last address in front of the trusted ones."""
        found = request.remote_addr or ""
        if self.trusts(request):
            for hop in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
                if _address(hop) is None:
                    break
                found = hop.strip()
                if not self._listed(found):
                    break
        return found

    def secure(self, request: Request) -> bool:
        """Whether the browser speaks https."""
        return request.is_secure or (
            self.trusts(request) and request.headers.get("X-Forwarded-Proto", "").strip().lower() == "https"
        )

    def host(self, request: Request) -> str:
        """The host that the browser sees."""
        forwarded = request.headers.get("X-Forwarded-Host", "").strip() if self.trusts(request) else ""
        return forwarded or request.host

    def _listed(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self._networks)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)  # a listener on `::` names IPv4 clients like this
    return mapped or found


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise SettingsError(f"MONITORING_PROXY_ADDRESSES: {error}; expected like 10.0.0.5 or 10.0.0.0/24") from error


def _roles(settings: Settings) -> Mapping[str, str]:
    found = {}
    for text in settings.names("proxy_roles"):
        user, _, role = (part.strip() for part in text.rpartition("="))
        if not user or role not in ROLES:
            raise SettingsError(f"MONITORING_PROXY_ROLES: {text!r} is not like alice={ROLES[-1]}")
        found[user] = role
    return found
