"""Checks of the bus: does it answer, may we, is it new enough, does it keep what it is given, is its clock ours?"""

from __future__ import annotations

import ipaddress
import time
from urllib.parse import urlsplit

import redis

from monitoring.pipeline.bus.embedded import locate
from monitoring.pipeline.bus.streams import META_KEY, connect
from monitoring.pipeline.doctor.finding import Examined, Finding, ok, problem, warning
from monitoring.pipeline.errors import BusUnavailable, SettingsError
from monitoring.pipeline.settings import mask_url

__all__ = ["answers", "evicts_nothing", "has_memory", "look_at", "new_enough", "password_set", "shares_our_clock"]

_OLDEST = (6, 2)
_SKEW_SECONDS = 5.0
"""Publishers wait as long before they replay; certificates and people notice minutes."""
_FULL = 0.5
"""Publishers stop at half of maxmemory."""
_TIMEOUT_SECONDS = 3.0


def look_at(seen: Examined) -> None:
    """Connect once, for all checks of the bus."""
    client = None
    try:
        seen.bus_url = locate(seen.settings)
        client = connect(seen.bus_url, timeout_seconds=_TIMEOUT_SECONDS)
        before = time.time()
        seconds, micros = client.time()
        seen.bus_facts = {
            "clock": seconds + micros / 1e6 - (before + time.time()) / 2,
            **client.info("server"), **client.info("memory"),
            "evicted_keys": client.info("stats").get("evicted_keys", 0),
            "ours": client.exists(META_KEY),
        }  # fmt: skip
        seen.client = client
    except (redis.RedisError, OSError, BusUnavailable, SettingsError) as error:
        seen.bus_error = str(error)
        seen.bus_refuses = isinstance(error, redis.AuthenticationError)
        if client is not None:
            client.close()


def answers(seen: Examined) -> Finding:
    """Whether the bus can be reached, with the password there is."""
    if seen.client is not None:
        return ok(f"{mask_url(seen.bus_url)} answers")
    if not seen.bus_url:
        if not seen.running:
            return ok("no bus is named: `monitoring up` starts its own")
        return problem(seen.bus_error, "wait until `monitoring up` is ready, or look at what it says")
    where = mask_url(seen.bus_url)
    if seen.bus_refuses:
        return problem(f"{where} refuses the password", "correct it in the URL: redis://:PASSWORD@HOST:6379/0")
    if "NOPERM" in seen.bus_error:
        return problem(f"{where}: {seen.bus_error}", "let that user run the command it names: ACL SETUSER")
    if not seen.settings.text("bus_url") and not seen.running:
        return ok("the embedded bus is not running, as `monitoring up` is not")
    return problem(
        f"{where} does not answer: {seen.bus_error}",
        "start it, or correct MONITORING_BUS_URL (or REDIS_URL); `redis-cli -u URL ping` tries the same",
    )


def new_enough(seen: Examined) -> Finding:
    """Redis 6.2 is the oldest with the commands that are used."""
    if seen.client is None:
        return ok("not known: the bus does not answer")
    facts = seen.bus_facts
    name = "valkey_version" if "valkey_version" in facts else "redis_version"
    version = str(facts.get(name, "0"))
    label = f"{'Valkey' if name == 'valkey_version' else 'Redis'} {version}"
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < _OLDEST:
        return problem(label, "upgrade the server: Redis 6.2 or Valkey is the oldest that works")
    return ok(label)


def evicts_nothing(seen: Examined) -> Finding:
    """A server that evicts throws events away."""
    if seen.client is None:
        return ok("not known: the bus does not answer")
    policy, evicted = seen.bus_facts.get("maxmemory_policy"), seen.bus_facts["evicted_keys"]
    if policy != "noeviction":
        return problem(
            f"the bus has maxmemory-policy {policy}: under pressure it throws events away, and start-up refuses it",
            "CONFIG SET maxmemory-policy noeviction, and the same line in its configuration file",
        )
    if evicted:
        return warning(
            f"the bus has evicted {evicted:,} keys since it started, under an earlier policy",
            "nothing that a spool or producer retains is lost: they send it again",
        )
    return ok("maxmemory-policy noeviction")


def has_memory(seen: Examined) -> Finding:
    """Whether there is a bound, and how near it is."""
    if seen.client is None:
        return ok("not known: the bus does not answer")
    used, most = int(seen.bus_facts.get("used_memory", 0)), int(seen.bus_facts.get("maxmemory", 0))
    if most == 0:
        return warning(
            f"the bus has no maxmemory ({used / 1e6:.0f} MB used): a backlog grows until the system ends it",
            "CONFIG SET maxmemory 512mb, and the same in its configuration file",
        )
    if used > most * _FULL:
        return problem(
            f"the bus uses {used / 1e6:.0f} of {most / 1e6:.0f} MB: publishers wait at half",
            "see why nothing is drained (monitoring status), start more drains, or raise maxmemory",
        )
    return ok(f"the bus uses {used / 1e6:.0f} of {most / 1e6:.0f} MB")


def password_set(seen: Examined) -> Finding:
    """Who reaches the bus can read and forge events."""
    parts = urlsplit(seen.bus_url)
    if seen.client is None or not parts.hostname or parts.password:
        return ok("the bus has a password" if parts.password else "the bus is not on the network")
    try:
        outside = not ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        outside = parts.hostname != "localhost"
    if outside:
        return warning(
            f"{parts.hostname} takes connections without a password: who reaches it reads and forges events",
            "set requirepass (or an ACL user) there, and the password in the URL",
        )
    return ok("the bus listens on loopback")


def shares_our_clock(seen: Examined) -> Finding:
    """Times of events are the producers', ages of frames are compared across machines."""
    if seen.client is None:
        return ok("not known: the bus does not answer")
    skew = seen.bus_facts["clock"]
    if abs(skew) > _SKEW_SECONDS:
        return problem(
            f"the clock of the bus is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} ours",
            "run chrony or systemd-timesyncd on both machines: events would be searched for at the wrong time",
        )
    return ok(f"the clocks differ by {abs(skew) * 1000:.0f} ms")
