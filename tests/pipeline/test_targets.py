"""Where a webhook may go: no spelling of an inner address gets through, and a name is asked for once."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.pipeline.errors import RetryableError
from monitoring.pipeline.targets import TargetRefused, parse_target, resolve, why_refused

INNER_V4 = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.0.9",
    "168.63.129.16", "169.254.169.254", "169.254.0.1", "172.16.0.1", "172.31.255.254", "192.0.0.192", "192.0.2.7",
    "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255",
]  # fmt: skip
INNER_V6 = [
    "::", "::1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254",
    "ff02::1", "2001:db8::1", "2001::1", "2002:7f00:1::", "64:ff9b:1::1", "100::1", "3fff::1", "4000::1", "5f00::1",
]  # fmt: skip
OUTER = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001:81b::200e"]

inner_v4 = st.one_of(
    st.sampled_from(INNER_V4),
    *(
        st.integers(int(network[0]), int(network[-1])).map(lambda number: str(ipaddress.IPv4Address(number)))
        for network in map(
            ipaddress.IPv4Network,
            ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3"),
        )
    ),
)


@given(inner_v4, st.sampled_from(["{}", "::ffff:{}", "::{}", "64:ff9b::{}", "::ffff:0:0:{}"]))
def test_no_form_of_an_inner_ipv4_address_is_allowed(inner: str, form: str) -> None:
    assert why_refused(form.format(inner), allow_private=False)


@pytest.mark.parametrize("address", [*INNER_V6, "", "localhost", "1.1.1", "::ffff:127.0.0.1%1"])
def test_no_inner_ipv6_address_and_nothing_that_is_no_address_is_allowed(address: str) -> None:
    assert why_refused(address, allow_private=False)


@pytest.mark.parametrize("address", [*OUTER, "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert why_refused(address, allow_private=False) == ""


def test_private_ones_are_allowed_where_that_is_set_but_never_metadata_or_many_machines() -> None:
    for address in ("127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "fd12::1", "::ffff:127.0.0.1"):
        assert why_refused(address, allow_private=True) == ""
    for address in (
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "fd00:ec2::254",
        "224.0.0.1",
        "0.0.0.0",
        "::",
        "ff02::1",
    ):
        assert why_refused(address, allow_private=True)


def spellings(number: int) -> list[str]:
    """Ways in which resolvers take an IPv4 address as a name (inet_aton)."""
    a, b, c, d = number.to_bytes(4, "big")
    return [
        str(number), f"0x{number:x}", f"0{number:o}", f"{a}.{number & 0xFFFFFF}", f"{a}.{b}.{c << 8 | d}",
        f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"0x{a:x}.0{b:o}.{c << 8 | d}",
        f"{a}.{b}.{c}.{d}",
    ]  # fmt: skip


def libc(host: str, port: int) -> Sequence[str]:
    """What the system's resolver makes of an address in a number's clothes, without asking anybody."""
    try:
        return [socket.inet_ntoa(socket.inet_aton(host))]
    except OSError:
        return [str(ipaddress.ip_address(host))]


@given(inner_v4, st.integers(0, 8))
def test_an_inner_address_in_decimal_octal_or_hex_is_refused(inner: str, form: int) -> None:
    host = spellings(int(ipaddress.IPv4Address(inner)))[form]
    with pytest.raises(TargetRefused):
        resolve(parse_target(f"http://{host}/x"), allow_private=False, resolver=libc)


@pytest.mark.parametrize(
    "host", ["127.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"]
)
def test_the_systems_own_resolver_lets_no_loopback_through(host: str) -> None:
    with pytest.raises(TargetRefused):
        resolve(parse_target(f"http://{host}:80/"), allow_private=False)


@given(st.lists(st.sampled_from(OUTER), max_size=3), inner_v4, st.randoms())
def test_one_inner_address_among_public_ones_is_enough_to_refuse(outer: list[str], inner: str, random: object) -> None:
    found = [*outer, inner]
    random.shuffle(found)  # type: ignore[attr-defined]  # hypothesis' Random
    with pytest.raises(TargetRefused):
        resolve(parse_target("https://evil.example/"), allow_private=False, resolver=lambda host, port: found)


def test_a_name_that_resolves_to_another_address_the_second_time_gains_nothing() -> None:
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    asked: list[str] = []

    def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return next(answers)

    assert resolve(parse_target("http://evil.example/"), allow_private=False, resolver=rebinding) == ["93.184.216.34"]
    assert asked == ["evil.example"]


def test_a_name_without_an_address_may_have_one_later() -> None:
    def nothing(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror("no such name")

    with pytest.raises(RetryableError, match="cannot be resolved"):
        resolve(parse_target("http://gone.example/"), allow_private=False, resolver=nothing)
    with pytest.raises(RetryableError):
        resolve(parse_target("http://gone.example/"), allow_private=False, resolver=lambda host, port: [])


@pytest.mark.parametrize(
    "url",
    ["ftp://a/", "file:///etc/passwd", "//a/", "http://", "http:///x", "http://u:p@a/", "http://a@b/", "http://a:0/",
     "http://a:99999/", "http://a b/", "http://a/\r\nX: y", "http://a\\@b/", "http://[fe80::1%25eth0]/", "http://[::1/",
     "http://a/" + "x" * 3000, "http://ä/", "gopher://a/", "a.example/x"],
)  # fmt: skip
def test_what_is_no_plain_http_url_is_refused(url: str) -> None:
    with pytest.raises(TargetRefused):
        parse_target(url)


def test_a_url_is_taken_apart_as_it_will_be_sent() -> None:
    target = parse_target("https://Hooks.example:8443/a/b?c=d#e")
    assert target == ("https", "hooks.example", 8443, "/a/b?c=d")
    assert target.host_header == "hooks.example:8443"
    assert parse_target("http://[2606:4700::1111]").host_header == "[2606:4700::1111]"
