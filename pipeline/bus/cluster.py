"""A client of a Redis or Valkey Cluster that is used like one of a single server.

    redis+cluster://[user:password@]host:port,host:port[/0][?options]       rediss+cluster:// with TLS

Nodes and slots are redis-py's RedisCluster to know: it is asked where a key lives, refreshed when a node does not
answer, and follows MOVED and ASK. What it must not do is send a command again whose answer was lost, as its pipelines
do: an XADD would be published twice, and behind a node that hangs each command of the pipeline would wait in turn. So
a pipeline here goes to the one node of its keys' slot, in one round trip, and only what that node refused to take is
sent after it to where it belongs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    RedisClusterException,
    SlotNotCoveredError,
    TryAgainError,
)
from redis.retry import Retry

__all__ = ["ClusterClient", "is_cluster", "nodes_of"]

_SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
_PORT = 6379
_ELSEWHERE = (MovedError, AskError, TryAgainError)
"""What a node says of a key that it does not hold, or not any more: it has done nothing with the command."""
_AWAY = (redis.ConnectionError, redis.TimeoutError, ClusterDownError, SlotNotCoveredError)
"""After these, what is known of the nodes is asked for anew."""


def is_cluster(url: str) -> bool:
    """Whether this URL names a cluster."""
    return url.partition("://")[0].lower() in _SCHEMES


def nodes_of(url: str) -> list[tuple[str, int]]:
    """Host and port of each node that the URL of a cluster names. Raises ValueError where it cannot be one."""
    listed = urlsplit(url).netloc.rpartition("@")[2]
    found = []
    for part in filter(None, map(str.strip, listed.split(","))):
        one = urlsplit(f"//{part}")  # knows [::1]:7000, and which ports there can be
        if not one.hostname:
            raise ValueError(f"{part!r} is no host:port")
        found.append((one.hostname, one.port or _PORT))
    if not found:
        raise ValueError("the URL of a cluster names at least one node: redis+cluster://host:port,host:port")
    return found


def _url_of(url: str, node: tuple[str, int]) -> str:
    """The URL of one node, with the credentials and options of the cluster's."""
    parts = urlsplit(url)
    login, at, _ = parts.netloc.rpartition("@")
    host = f"[{node[0]}]" if ":" in node[0] else node[0]
    scheme = _SCHEMES[parts.scheme.lower()]
    return urlunsplit((scheme, f"{login}{at}{host}:{node[1]}", parts.path, parts.query, ""))


class _Known(RedisCluster):
    """RedisCluster, which also follows ASK to a node that has no slots yet: slots are moved to such a one first."""

    def get_node(self, host: str | None = None, port: int | None = None, node_name: str | None = None) -> Any:
        """See RedisCluster."""
        found = super().get_node(host, port, node_name)
        if found is None and node_name is not None:
            name, _, number = node_name.rpartition(":")
            found = ClusterNode(name, int(number))
            self.nodes_manager.create_redis_connections([found])
        return found


class ClusterClient(redis.Redis):
    """Commands and pipelines of one slot each. Connects with its first command; safe between threads.

    Raises redis-py's errors, those of RedisCluster among them; `streams.exchange` turns them into ours. Nothing is
    sent a second time that a node may have done.
    """

    def __init__(self, url: str, *, timeout_seconds: float, packer: Any) -> None:
        """Raises ValueError for a URL that cannot be used. `packer` is redis-py's `command_packer`."""
        nodes = nodes_of(url)
        super().__init__(connection_pool=redis.ConnectionPool())  # for its commands; this pool is never asked
        self._nodes = nodes[1:]
        self._url = _url_of(url, nodes[0])
        self._timeout_seconds = timeout_seconds
        self._packer = packer
        self._known: _Known | None = None
        self._making = threading.Lock()
        redis.connection.parse_url(self._url)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command to the node of its key, or, where it has none, to any primary."""
        known = self._reach()
        node = self._node(known, _key_of(args))
        try:
            return self._ask(known, node, lambda client: client.execute_command(*args, **options))
        except _ELSEWHERE:
            return self._follow(known, node, args, options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """A pipeline for keys of one slot; only without a transaction."""
        if transaction:
            raise ValueError("a pipeline over a cluster is no transaction here")
        return _SlotPipeline(self)

    def infos(self, *sections: str) -> dict[str, dict[str, Any]]:
        """INFO of every node that answers, replicas too, by its name: any of them may be a primary tomorrow."""
        known = self._reach()
        found: dict[str, dict[str, Any]] = {}
        trouble: Exception | None = None
        for node in known.get_nodes():
            try:
                found[node.name] = self._ask(known, node, lambda client: dict(client.info(*sections)))
            except redis.ConnectionError as error:
                trouble = error
            except redis.TimeoutError as error:
                trouble = error
        if not found and trouble is not None:
            raise trouble
        return found

    def close(self) -> None:
        """Give up all connections, also those on which another thread waits."""
        with self._making:
            known, self._known = self._known, None
        if known is not None:
            known.disconnect_connection_pools()

    def run_pipeline(self, commands: list[tuple[tuple[Any, ...], dict[str, Any]]]) -> list[Any]:
        """Answers of commands that concern one slot, an error in place of one that was refused."""
        known = self._reach()
        node = self._node(known, _key_of(commands[0][0]))

        def send(client: redis.Redis) -> list[Any]:
            pipe = client.pipeline(transaction=False)
            pipe.command_stack = list(commands)
            return pipe.execute(raise_on_error=False)

        answers = self._ask(known, node, send)
        for place, (args, options) in enumerate(commands):
            if isinstance(answers[place], _ELSEWHERE):
                try:
                    answers[place] = self._follow(known, node, args, options)
                except redis.ResponseError as error:
                    answers[place] = error
        return list(answers)

    def _reach(self) -> _Known:
        with self._making:
            if self._known is None:
                self._known = _Known(
                    url=self._url,
                    startup_nodes=[ClusterNode(host, port) for host, port in self._nodes],
                    retry=Retry(NoBackoff(), 0),
                    require_full_coverage=False,  # the other slots go on
                    protocol=2,  # 3 asks each connection for notifications that only one vendor's servers know
                    socket_timeout=self._timeout_seconds,
                    socket_connect_timeout=self._timeout_seconds,
                    connection_pool_class=partial(redis.ConnectionPool, command_packer=self._packer),
                )
            return self._known

    def _node(self, known: _Known, key: Any) -> ClusterNode:
        try:
            return known.get_random_primary_node() if key is None else known.get_node_from_key(key)
        except (SlotNotCoveredError, IndexError) as error:
            self._refresh(known)
            raise SlotNotCoveredError(f"no node answers for {key!r}") from error

    def _ask(self, known: _Known, node: ClusterNode, action: Callable[[redis.Redis], Any]) -> Any:
        try:
            return action(known.get_redis_connection(node))
        except _AWAY:
            self._refresh(known, node.name)
            raise

    def _follow(self, known: _Known, node: ClusterNode, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Ask the same node again and go where it sends us: the slot may be on its way, or there for good."""
        try:
            return known.execute_command(*args, target_nodes=node, **options)
        except _AWAY:
            self._refresh(known)
            raise

    def _refresh(self, known: _Known, failed: str | None = None) -> None:
        """Learn the nodes anew; where none that is known answers, begin with those of the URL next time."""
        try:
            known.nodes_manager.initialize(last_failed_node_name=failed)
        except RedisClusterException:
            with self._making:
                if self._known is known:
                    self._known = None
            raise


class _SlotPipeline(Pipeline):
    """redis-py's pipeline, sent by the cluster's client."""

    def __init__(self, client: ClusterClient) -> None:
        super().__init__(client.connection_pool, client.response_callbacks, False, None)
        self._client = client

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """See Pipeline."""
        commands, self.command_stack = self.command_stack, []
        if not commands:
            return []
        answers = self._client.run_pipeline(commands)
        if raise_on_error:
            self.raise_first_error(commands, answers)
        return answers


def _key_of(args: tuple[Any, ...]) -> Any:
    """The first key of a command, None where it has none. SCAN has the pattern of its keys: they share a slot."""
    name = str(args[0]).upper()
    if name in ("XREAD", "SCAN"):
        before = b"STREAMS" if name == "XREAD" else b"MATCH"
        upper = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]
        return args[upper.index(before) + 1]
    if name == "EVAL":
        return args[3]
    return args[1] if len(args) > 1 and name not in ("INFO", "CONFIG", "CLUSTER") else None
