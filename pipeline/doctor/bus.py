"""Checks of the bus: does it answer, may we, is it new enough, does it keep what it is given, is its clock ours?"""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import redis
from redis.exceptions import RedisClusterException

from monitoring.pipeline.bus.cluster import is_cluster, nodes_of
from monitoring.pipeline.bus.embedded import locate, locate_queue
from monitoring.pipeline.bus.streams import META_KEY, connect, infos
from monitoring.pipeline.doctor.finding import Examined, Finding, ok, problem, warning
from monitoring.pipeline.errors import BusUnavailable, MonitoringError, SettingsError
from monitoring.pipeline.settings import mask_url

__all__ = [
    "answers",
    "evicts_nothing",
    "has_memory",
    "look_at",
    "new_enough",
    "password_set",
    "queue_answers",
    "shares_our_clock",
]

_OLDEST = (6, 2)
_SKEW_SECONDS = 5.0
"""Publishers wait as long before they replay; certificates and people notice minutes."""
_FULL = 0.5
"""Publishers stop at half of maxmemory."""
_TIMEOUT_SECONDS = 3.0
_FAILURES = (redis.RedisError, RedisClusterException, OSError, ValueError, TypeError)
"""What a client raises; the last for an unknown ?option in its URL."""


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
            "ours": client.exists(META_KEY),
        }
        seen.servers = infos(client)
        seen.client = client
    except (*_FAILURES, MonitoringError) as error:
        seen.bus_error = str(error)
        seen.bus_refuses = any(
            isinstance(cause, redis.AuthenticationError) for cause in (error, error.__cause__, error.__context__)
        )
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
    labels = {name: _release(facts) for name, facts in seen.servers.items()}
    old = {name: label for name, label in labels.items() if label.version < _OLDEST}
    said = _by_server(old or labels, seen, lambda label: label.text)
    if old:
        return problem(said, "upgrade the server: Redis 6.2 or Valkey is the oldest that works")
    return ok(said)


def evicts_nothing(seen: Examined) -> Finding:
    """A server that evicts throws events away."""
    if seen.client is None:
        return ok("not known: the bus does not answer")
    wrong = {name: facts["maxmemory_policy"] for name, facts in seen.servers.items() if _evicts(facts)}
    if wrong:
        return problem(
            f"the bus has maxmemory-policy {_by_server(wrong, seen)}: under pressure it throws events away, and "
            "start-up refuses it",
            "CONFIG SET maxmemory-policy noeviction, and the same line in its configuration file",
        )
    evicted = sum(int(facts.get("evicted_keys", 0)) for facts in seen.servers.values())
    if evicted:
        return warning(
            f"the bus has evicted {evicted:,} keys since it started, under an earlier policy",
            "nothing that a spool or producer retains is lost: they send it again",
        )
    return ok("maxmemory-policy noeviction")


def has_memory(seen: Examined) -> Finding:
    """Whether there is a bound, and how near it is; of several servers, that of the one that is nearest."""
    if seen.client is None:
        return ok("not known: the bus does not answer")
    loads = {name: _load(facts) for name, facts in seen.servers.items()}
    unbounded = {name: load for name, load in loads.items() if load.most == 0}
    if unbounded:
        used = _by_server(unbounded, seen, lambda load: f"{load.used / 1e6:.0f} MB used")
        return warning(
            f"the bus has no maxmemory ({used}): a backlog grows until the system ends it",
            "CONFIG SET maxmemory 512mb, and the same in its configuration file",
        )
    name, load = max(loads.items(), key=lambda pair: pair[1].used / pair[1].most)
    said = f"{_called(name)} uses {load.used / 1e6:.0f} of {load.most / 1e6:.0f} MB"
    if load.used > load.most * _FULL:
        return problem(
            f"{said}: publishers wait at half",
            "see why nothing is drained (monitoring status), start more drains, or raise maxmemory",
        )
    return ok(said)


def password_set(seen: Examined) -> Finding:
    """Who reaches the bus can read and forge events."""
    parts = urlsplit(seen.bus_url)
    hosts = [host for host, _ in nodes_of(seen.bus_url)] if is_cluster(seen.bus_url) else [parts.hostname or ""]
    if seen.client is None or not any(hosts) or parts.password:
        return ok("the bus has a password" if parts.password else "the bus is not on the network")
    outside = [host for host in hosts if not _loopback(host)]
    if outside:
        return warning(
            f"{outside[0]} takes connections without a password: who reaches it reads and forges events",
            "set requirepass (or an ACL user) there, and the password in the URL",
        )
    return ok("the bus listens on loopback")


def queue_answers(seen: Examined) -> Finding:
    """What carries the jobs, where that is not the bus: nothing is drained while it is away."""
    try:
        url = locate_queue(seen.settings, seen.bus_url or None)
    except SettingsError as error:
        return problem(str(error), "MONITORING_QUEUE_URL=redis://host:6379/0: a small one, it holds a few jobs")
    except BusUnavailable:
        return ok("not known: there is no bus yet")
    if url == seen.bus_url:
        return ok("the bus carries the jobs")
    where = mask_url(url)
    try:
        with contextlib.closing(connect(url, timeout_seconds=_TIMEOUT_SECONDS)) as client:
            facts = infos(client)[""]
    except (*_FAILURES, MonitoringError) as error:
        return problem(f"{where} does not answer: {error}", "start it, or correct MONITORING_QUEUE_URL")
    if _evicts(facts):
        return warning(
            f"{where} has maxmemory-policy {facts['maxmemory_policy']}: jobs may vanish, and wait for the next tick",
            "CONFIG SET maxmemory-policy noeviction, and the same line in its configuration file",
        )
    return ok(f"{where} carries the jobs")


def _evicts(facts: Mapping[str, Any]) -> bool:
    return str(facts.get("maxmemory_policy", "noeviction")) != "noeviction"


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Release(NamedTuple):
    version: tuple[int, ...]
    text: str


def _release(facts: Mapping[str, Any]) -> _Release:
    name = "valkey_version" if "valkey_version" in facts else "redis_version"
    version = str(facts.get(name, "0"))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    return _Release(numbers, f"{'Valkey' if name == 'valkey_version' else 'Redis'} {version}")


class _Load(NamedTuple):
    used: int
    most: int


def _load(facts: Mapping[str, Any]) -> _Load:
    return _Load(int(facts.get("used_memory", 0)), int(facts.get("maxmemory", 0)))


def _called(name: str) -> str:
    return name or "the bus"


def _by_server(found: Mapping[str, Any], seen: Examined, text: Callable[[Any], str] = str) -> str:
    """What was found, once if it is the same of all servers, else by server."""
    texts = {name: text(value) for name, value in found.items()}
    if len(set(texts.values())) == 1 and len(texts) == len(seen.servers):
        return next(iter(texts.values()))
    return ", ".join(f"{name} {said}" for name, said in texts.items())


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
