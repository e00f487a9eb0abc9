"""Streams of a Redis-compatible server: publish frames, read them, delete exactly the committed ones.

One stream a signal and partition, its name in the hash tag, so that everything of a partition shares a
cluster slot:

    monitoring:meta                      hash: version, instance, partitions:logs, and so for each signal it takes
    monitoring:{logs:0}                  the stream
    monitoring:{logs:0}:low:<lane>       watermark: every seq up to it is in the store; expires
    monitoring:{logs:0}:lane:<lane>      what the lane's producer last said of itself, JSON; expires
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import orjson
import redis
from redis.backoff import NoBackoff
from redis.connection import PythonRespSerializer
from redis.retry import Retry

from monitoring.pipeline.bus.cluster import ClusterClient, is_cluster
from monitoring.pipeline.bus.frame import Frame
from monitoring.pipeline.bus.readers import Readers
from monitoring.pipeline.errors import BusFull, BusRefused, BusUnavailable, SettingsError, SignalUnknown

__all__ = [
    "META_KEY",
    "OWNER_KEY",
    "PROTOCOL_VERSION",
    "URL_FILE",
    "Entry",
    "Reply",
    "StreamTransport",
    "Streams",
    "Transport",
    "connect",
    "exchange",
    "infos",
    "lane_key",
    "low_key",
    "stream_key",
]

META_KEY = "monitoring:meta"
OWNER_KEY = "monitoring:owner"
"""The instance that drains this bus, or whose jobs a queue's server carries; expires soon after its ticker's end."""
PROTOCOL_VERSION = "1"
URL_FILE = "bus.url"
"""In the data directory of `monitoring up`: how services on its machine reach the server that it started."""
WATERMARK_TTL_SECONDS = 86_400
"""A producer asks every few seconds; one that slept longer replays, and the drain says the watermark again."""
REPORT_TTL_SECONDS = 8 * 86_400
"""As long as marks are kept: afterwards nobody can say what became of the lane."""
PRESSURE = 0.5
"""Publishers stop at half of maxmemory: the other half is for RQ, watermarks and the AOF's buffers."""
_MEMORY_CHECK_SECONDS = 1.0
"""INFO memory costs about 40 us; once a second is often enough below the pressure mark."""

_PACK_BYTES = 6000
"""Arguments larger than this are sent as they are instead of being joined; the client's own default."""

_UNEXPECTED = re.compile(r"unexpected keyword argument '([^']{1,60})'")
_NOBODY = re.compile(r"Error (?:2|61|111) connecting to (.+?)\. ")
"""ENOENT of a socket that is a file; ECONNREFUSED of macOS and Linux."""
_UNAVAILABLE = (redis.ConnectionError, redis.TimeoutError, OSError)
_NOT_NOW = (
    redis.exceptions.ReadOnlyError,
    redis.exceptions.ClusterDownError,  # MASTERDOWN as well
    redis.exceptions.ClusterError,
    redis.exceptions.TryAgainError,
    redis.exceptions.AskError,  # MOVED as well: the client follows them, unless they lead around for too long
)
"""What a server says while it fails over, or moves a slot."""

_HEAD_CREATED = """
local e = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if not e then return false end
for i = 1, #e[2], 2 do if e[2][i] == 'created' then return e[2][i + 1] end end
return '0'
"""


def stream_key(signal: str, partition: int) -> str:
    """Name of a partition's stream."""
    return f"monitoring:{{{signal}:{partition}}}"


def low_key(signal: str, partition: int, lane: str) -> str:
    """Name of a lane's watermark."""
    return f"{stream_key(signal, partition)}:low:{lane}"


def lane_key(signal: str, partition: int, lane: str) -> str:
    """Name of a lane's own report."""
    return f"{stream_key(signal, partition)}:lane:{lane}"


def connect(url: str, *, timeout_seconds: float = 5.0) -> redis.Redis:
    """A client of this server (redis://, rediss://, unix://) or cluster (redis+cluster://). Never retries by itself.

    A retry of XADD inside the client would publish a frame twice; who calls knows better. Connects with its first
    command. Raises SettingsError for a URL that cannot be used.
    """
    # hiredis, where it is installed, copies a frame three times to pack it: 260 us of CPU for 280 KB against 10.
    packer = PythonRespSerializer(_PACK_BYTES, _encode)
    try:
        if is_cluster(url):
            return ClusterClient(url, timeout_seconds=timeout_seconds, packer=packer)
        client = redis.Redis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
            command_packer=packer,
        )
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # connects to nothing; an option that there is not shows here
    except ValueError as error:
        raise SettingsError(f"the URL of the bus cannot be used: {error}") from None
    except TypeError as error:
        option = _UNEXPECTED.search(str(error))
        problem = f"there is no option {option[1]}; take it out of the URL" if option else str(error)
        raise SettingsError(f"the URL of the bus cannot be used: {problem}") from None
    return client


def _encode(value: Any) -> bytes | memoryview:
    """An argument of a command as bytes. Raises redis.DataError for what the server could not give back as it was."""
    if isinstance(value, bytes | memoryview):
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value).encode()
    raise redis.DataError(f"a {type(value).__name__} cannot be an argument: convert it to bytes, str, int or float")


class Reply(NamedTuple):
    """What a publisher learns in a round trip.

    `ids` are the entry ids of the published frames, in order. `low` is the lane's watermark, 0 if none is
    known. `full` says to stop publishing for now: the bus is at its memory or length mark.
    """

    ids: list[str]
    low: int
    full: bool


class Transport(Protocol):
    """How a publisher reaches the bus: directly, or through the HTTP API. Not shared between threads or forks.

    Every method raises BusUnavailable when no answer came (frames may have arrived all the same), BusFull
    when the server refused for lack of memory (frames before the refused one may have arrived), BusRefused
    when the server must not be used.
    """

    def partitions(self, signal: str) -> int:
        """How many partitions the signal has. Raises SignalUnknown where the instance takes none of it."""
        ...

    def publish(self, signal: str, partition: int, lane: str, frames: Sequence[Frame]) -> Reply:
        """Append the frames of one lane in order (none: only ask for the watermark)."""
        ...

    def present(self, signal: str, partition: int, entry_id: str) -> bool:
        """Whether the entry still waits in the stream."""
        ...

    def report(self, signal: str, partition: int, lane: str, facts: Mapping[str, Any]) -> None:
        """Say how the lane is doing: emitted, dropped by reason, sealed seq, service, host, pid, closed."""
        ...

    def close(self) -> None:
        """Give up the connection."""
        ...


class StreamTransport:
    """The Transport that talks to the server itself."""

    def __init__(self, client: redis.Redis, *, stream_length: int) -> None:
        self._client = client
        self._stream_length = stream_length
        self._memory_full = False
        self._memory_checked = float("-inf")

    def partitions(self, signal: str) -> int:
        """See Transport. Raises BusRefused where no monitoring instance has announced itself."""
        version, count = exchange(lambda: self._client.hmget(META_KEY, "version", f"partitions:{signal}"))
        if version is None:
            raise BusRefused("no monitoring instance uses this server (no key monitoring:meta): start `monitoring up`")
        if version != PROTOCOL_VERSION.encode():
            raise BusRefused(f"the instance on this server speaks protocol {version!r}; this release speaks 1")
        if count is None:
            raise SignalUnknown(f"the instance on this server takes no {signal}")
        return int(count)

    def publish(self, signal: str, partition: int, lane: str, frames: Sequence[Frame]) -> Reply:
        """See Transport."""
        stream = stream_key(signal, partition)
        ask_memory = self._memory_full or time.monotonic() - self._memory_checked > _MEMORY_CHECK_SECONDS

        def round_trip() -> list[Any]:
            pipe = self._client.pipeline(transaction=False)
            for frame in frames:
                pipe.xadd(stream, frame.fields())  # type: ignore[arg-type]  # bytes are fields, too
            pipe.get(low_key(signal, partition, lane))
            pipe.xlen(stream)
            if ask_memory:
                pipe.info("memory")
            return pipe.execute()

        answers = exchange(round_trip)
        if ask_memory:
            memory = answers.pop()
            limit = int(memory.get("maxmemory", 0))
            self._memory_full = limit > 0 and int(memory["used_memory"]) > limit * PRESSURE
            self._memory_checked = time.monotonic()
        *ids, low, length = answers
        full = self._memory_full or length >= self._stream_length
        return Reply([entry_id.decode() for entry_id in ids], int(low or 0), full)

    def present(self, signal: str, partition: int, entry_id: str) -> bool:
        """See Transport."""
        return bool(exchange(lambda: self._client.xrange(stream_key(signal, partition), entry_id, entry_id)))

    def report(self, signal: str, partition: int, lane: str, facts: Mapping[str, Any]) -> None:
        """See Transport."""
        key = lane_key(signal, partition, lane)
        exchange(lambda: self._client.set(key, orjson.dumps(dict(facts)), ex=REPORT_TTL_SECONDS))

    def close(self) -> None:
        """See Transport."""
        self._client.close()


class Entry(NamedTuple):
    """One stream entry as it was read, not yet understood."""

    id: str
    fields: dict[bytes, bytes]


class Streams:
    """The consuming side of the streams. Raises as Transport does."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._readers = Readers(self._read) if isinstance(client, ClusterClient) else None

    @property
    def spread(self) -> bool:
        """Whether partitions lie on several servers, of which one may be away while the others are not."""
        return self._readers is not None

    def close(self) -> None:
        """Give up the connection."""
        if self._readers is not None:
            self._readers.close()
        self.client.close()

    def announce(self, partitions: Mapping[str, int], instance: str) -> None:
        """Make this server known as ours and say how many partitions each signal has.

        Raises BusRefused unless the server keeps what it is given: Redis >= 6.2 with `noeviction`.
        """
        for name, info in infos(self.client).items():
            _check_fit(name, info)
        meta: dict[Any, Any] = {"version": PROTOCOL_VERSION, "instance": instance}
        meta.update({f"partitions:{signal}": str(count) for signal, count in partitions.items()})
        exchange(lambda: self.client.hset(META_KEY, mapping=meta))

    def read(self, cursors: Mapping[str, str], *, count: int, block_ms: int | None) -> dict[str, list[Entry]]:
        """Entries behind each stream's cursor ("0-0": from the start), at most `count` a stream.

        Waits up to `block_ms` for the first one; None does not wait. Where streams lie on several servers, one that
        is away raises only if the others have nothing either.
        """
        if self._readers is not None and block_ms is not None:
            return self._readers.read(cursors, count=count, block_ms=block_ms)
        if self._readers is None:
            return self._read(cursors, count, block_ms)
        found: dict[str, list[Entry]] = {}
        for stream, cursor in cursors.items():  # several in one XREAD need not share a slot
            found |= self._read({stream: cursor}, count, None)
        return found

    def _read(self, cursors: Mapping[str, str], count: int, block_ms: int | None) -> dict[str, list[Entry]]:
        answers = exchange(lambda: self.client.xread(dict(cursors), count=count, block=block_ms))  # type: ignore[arg-type]  # bytes are fields, too
        pairs = answers.items() if isinstance(answers, dict) else (answers or ())
        found: dict[str, list[Entry]] = {}
        for stream, entries in pairs:
            rows = entries[0] if isinstance(answers, dict) else entries
            found[stream.decode()] = [Entry(entry_id.decode(), fields) for entry_id, fields in rows if fields]
        return found

    def settle(self, signal: str, partition: int, ids: Sequence[str], lows: Mapping[str, int]) -> None:
        """Delete exactly these entries, then publish these lanes' watermarks.

        Deleting comes first because it frees memory, which publishing may need. Raises BusFull if the
        watermarks did not fit; the entries are deleted then.
        """
        pipe = self.client.pipeline(transaction=False)
        if ids:
            pipe.xdel(stream_key(signal, partition), *ids)
        for lane, low in lows.items():
            pipe.set(low_key(signal, partition, lane), low, ex=WATERMARK_TTL_SECONDS)
        exchange(pipe.execute)

    def length(self, signal: str, partition: int) -> int:
        """Entries in the stream."""
        return int(exchange(lambda: self.client.xlen(stream_key(signal, partition))))

    def oldest_created(self, signal: str, partition: int) -> int | None:
        """When the oldest waiting frame was sealed, nanoseconds; None where the stream is empty."""
        found = exchange(lambda: self.client.eval(_HEAD_CREATED, 1, stream_key(signal, partition)))
        return int(found) if found else None

    def reports(self, signal: str, partition: int) -> dict[str, dict[str, Any]]:
        """What each lane's producer last said of itself, by lane."""
        prefix = lane_key(signal, partition, "")

        def scan() -> dict[str, dict[str, Any]]:
            pattern = prefix.replace("[", "\\[") + "*"
            keys = [key.decode() for key in self.client.scan_iter(match=pattern, count=1000)]
            values = self.client.mget(keys) if keys else []
            return {
                key.removeprefix(prefix): orjson.loads(value) for key, value in zip(keys, values, strict=True) if value
            }

        found: dict[str, dict[str, Any]] = exchange(scan)
        return found


def infos(client: redis.Redis, *sections: str) -> dict[str, dict[str, Any]]:
    """INFO of every server behind this client, by its name; that of a single one is "". Raises as Transport does."""
    if isinstance(client, ClusterClient):
        cluster = client
        found: dict[str, dict[str, Any]] = exchange(lambda: cluster.infos(*sections))
        return found
    return {"": exchange(lambda: client.info(*sections))}


def _check_fit(name: str, info: Mapping[str, Any]) -> None:
    """Raises BusRefused for a server that is too old, or would delete what it was given."""
    who = f"the server {name}" if name else "the server"
    version = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
    if version < (6, 2):
        raise BusRefused(f"{who} is Redis {info['redis_version']}, too old: 6.2 or Valkey is needed")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise BusRefused(
            f"maxmemory-policy of {who} is {policy}: it would delete queued events when memory is short. "
            "Set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in its configuration file)"
        )


def _why(error: Exception) -> str:
    """What the client says, or what to do where nothing is there to answer."""
    nobody = _NOBODY.match(str(error))
    if nobody is None:
        return str(error)
    return f"nothing listens at {nobody[1]}: start `monitoring up`, or the server that MONITORING_BUS_URL names"


def exchange(action: Callable[[], Any]) -> Any:
    """Run one exchange with the server and turn its errors into ours, those of Transport."""
    try:
        return action()
    except redis.exceptions.AuthenticationError as error:
        raise BusRefused(f"the bus refused the credentials: {error}") from error
    except redis.exceptions.BusyLoadingError as error:
        raise BusUnavailable("the bus is still loading its data") from error
    except redis.exceptions.OutOfMemoryError as error:
        raise BusFull("the bus is at its maxmemory") from error
    except _UNAVAILABLE as error:
        raise BusUnavailable(f"the bus did not answer: {_why(error)}") from error
    except redis.exceptions.RedisClusterException as error:
        raise _of_cluster(error) from error
    except _NOT_NOW as error:
        raise BusUnavailable(f"the bus cannot take that now: {error}") from error
    except redis.ResponseError as error:
        if "OOM" in str(error):
            raise BusFull("the bus is at its maxmemory") from error
        if "MISCONF" in str(error):
            raise BusUnavailable(f"the bus cannot take writes now: {error}") from error
        raise BusRefused(f"the bus refused the command: {error}") from error


def _of_cluster(error: Exception) -> BusUnavailable | BusRefused:
    """What redis-py could not do with the nodes of a cluster; why stands in the causes."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, redis.exceptions.AuthenticationError | redis.exceptions.NoPermissionError):
            return BusRefused(f"the bus refused the credentials: {cause}")
        if "Cluster mode is not enabled" in str(cause):
            return BusRefused("the bus is no cluster, but a single server: name it with redis:// or rediss://")
        cause = cause.__cause__ or cause.__context__
    return BusUnavailable(f"the bus did not answer: {error}")
