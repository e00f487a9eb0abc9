"""Where a webhook may go: not to this machine, and not into the network behind it.

Whoever may edit channels could else make the server read what only the server can reach (SSRF): the metadata
service of a cloud, a database, an admin page on loopback. A name is resolved once, every address that it has is
checked, and the connection is made to an address that was checked, never to the name again: a name that resolves
anew to another address (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from monitoring.pipeline.errors import PermanentError, RetryableError

__all__ = ["Target", "TargetRefused", "parse_target", "resolve", "why_literal_refused", "why_refused"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Sequence[str]]
"""Host and port to the texts of its addresses. Raises OSError where there is none."""

_LONGEST_URL = 2048
_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Google, Azure, DigitalOcean, …
        "169.254.170.2",  # AWS ECS
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure's wire server, a public address that only its machines reach
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_NOBODY = tuple(ipaddress.ip_network(text) for text in ("2001::/32", "2002::/16", "3fff::/20"))
"""Teredo and 6to4 carry an IPv4 address of whoever wrote them, 3fff is for documents: nobody serves webhooks there."""


class TargetRefused(PermanentError):
    """A URL that no message may be sent to."""


class Target(NamedTuple):
    """A URL taken apart: what the connection, TLS and the request line need."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        """As the Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


_PORTS = {"http": 80, "https": 443}


def parse_target(url: str) -> Target:
    """The parts of an http or https URL. Raises TargetRefused for anything else, without repeating the URL."""
    if len(url) > _LONGEST_URL or not url.isascii() or any(char <= " " or char == "\x7f" for char in url):
        raise TargetRefused("url: expected an ASCII URL without blanks, at most 2048 characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise TargetRefused(f"url: {error}") from None
    if parts.scheme not in _PORTS or not parts.hostname or "\\" in url:
        raise TargetRefused("url: expected http://host/… or https://host/…")
    if parts.username is not None or parts.password is not None:
        raise TargetRefused("url: a name and password belong into an Authorization header")
    if "%" in parts.hostname or port == 0:
        raise TargetRefused("url: not a usable host or port")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], path)


def why_refused(text: str, *, allow_private: bool) -> str:
    """Why no connection to this address may be made; "" where it may. `text` is an address, not a name."""
    try:
        address: Address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return "not an address"
    inner = _inner(address)
    if inner in _METADATA:
        return "the address of a metadata service"
    if inner.is_multicast or inner.is_unspecified or str(inner) == "255.255.255.255":
        return "not the address of one machine"
    if allow_private:
        return ""
    return _why_not_public(inner)


def why_literal_refused(url: str, *, allow_private: bool) -> str:
    """Why nothing can be sent to a URL whose host is an address, or localhost; "" where that is not known before."""
    host = parse_target(url).host
    try:
        ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        return ""  # a name: it is resolved, and checked, when something is sent
    return why_refused("127.0.0.1" if host == "localhost" else host, allow_private=allow_private)


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it does: mapped, compatible or translated (NAT64)."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    number = int(address)
    if address in _NAT64 or 1 < number < 1 << 32:
        return ipaddress.IPv4Address(number & 0xFFFFFFFF)
    return address


def _why_not_public(address: Address) -> str:
    if address.is_loopback:
        return "a loopback address"
    if address.is_link_local:
        return "a link-local address"
    if isinstance(address, ipaddress.IPv6Address) and (
        address not in _GLOBAL_UNICAST or any(address in network for network in _NOBODY)
    ):
        return "not a public address"
    return "" if address.is_global else "a private address"


def resolve(target: Target, *, allow_private: bool, resolver: Resolver | None = None) -> list[str]:
    """The addresses of a target, each checked, in the system's order.

    Raises TargetRefused if one of them must not be connected to, RetryableError where the name has none now.
    """
    try:
        found = list((resolver or _system)(target.host, target.port))
    except (OSError, UnicodeError) as error:
        raise RetryableError(f"the name {target.host} cannot be resolved: {error}") from error
    if not found:
        raise RetryableError(f"the name {target.host} has no address")
    for text in found:
        reason = why_refused(text, allow_private=allow_private)
        if reason:
            more = "" if allow_private else "; MONITORING_ALLOW_PRIVATE_WEBHOOKS=true allows private ones"
            raise TargetRefused(f"{target.host} is {text}: {reason}{more}")
    return found


def _system(host: str, port: int) -> list[str]:
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in rows))
