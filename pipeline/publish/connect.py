"""Where a service finds the bus, and the publisher that its settings describe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache

from monitoring.pipeline.bus.streams import META_KEY, URL_FILE, StreamTransport, Transport, connect, exchange
from monitoring.pipeline.errors import SettingsError
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.events.signals import METRICS
from monitoring.pipeline.publish import forks
from monitoring.pipeline.publish.publisher import Publisher
from monitoring.pipeline.publish.spool import Spool
from monitoring.pipeline.settings import Settings

__all__ = ["METRICS_SHARE", "publisher_from", "transport_from"]


def transport_from(settings: Settings) -> Transport:
    """A connection to the bus of this environment, in this order:

    MONITORING_BUS_URL; REDIS_URL, if a monitoring instance has announced itself there (it may be the
    application's own cache); the data directory's `bus.url`; MONITORING_URL with MONITORING_API_KEY.

    Raises SettingsError where there is none of these, BusUnavailable or BusRefused where REDIS_URL has to be
    asked and does not answer.
    """
    _import_ahead()
    url, source = settings.text("bus_url"), settings.source("bus_url")
    if url and (source != "REDIS_URL" or _is_ours(url)):
        return _streams(url, settings)
    with forks.held_off():
        data = settings.data  # which may import
    try:
        return _streams((data / URL_FILE).read_text().strip(), settings)
    except OSError:
        pass  # absent, or another user's: this service is not on the machine of `monitoring up`
    if address := settings.text("url"):
        if not settings.text("api_key"):
            raise SettingsError(f"MONITORING_URL={address} needs MONITORING_API_KEY, a key with the role ingest")
        with forks.held_off():
            from monitoring.pipeline.publish.http import HttpTransport  # 7 ms that a service on the bus need not pay

        return HttpTransport(address, settings.text("api_key"))
    redis = "REDIS_URL is set, and no monitoring instance uses that server. " if url else ""
    raise SettingsError(
        f"{redis}No bus is known: set MONITORING_BUS_URL to the bus, or MONITORING_URL and MONITORING_API_KEY to an "
        f"API, or MONITORING_DATA_DIR to the directory of `monitoring up` (there is no {data / URL_FILE})"
    )


@cache
def _import_ahead() -> None:
    """What redis-py and the standard library import when they connect: it is a thread that does."""
    with forks.held_off():
        import secrets  # noqa: F401 - redis-py: the name of a pool
        from encodings import idna  # noqa: F401 - for the name of a host
        from importlib import metadata

        with suppress(metadata.PackageNotFoundError):
            metadata.version("redis")  # redis-py says it to the server; how it is found out differs by Python's version


METRICS_SHARE = 4
"""Metrics get this part of the buffer that logs have: 25,000 deltas, eight minutes of 500 series. What does not fit
is not lost, it goes on adding up where it was counted."""


def publisher_from(
    settings: Settings,
    *,
    signal: str = "logs",
    refine: Callable[[Sequence[Event]], Sequence[Event]] | None = None,
    on_trouble: Callable[[str], None] = lambda reason: None,
    on_start: Callable[[], None] = lambda: None,
) -> Publisher:
    """The publisher of this process for this signal. Connects when the first row comes. Raises SettingsError.

    A spool directory is used wherever one is named; durability `spool` and `required` need one. The callables are
    those of Publisher.
    """
    durability, spool_dir = settings.text("durability"), settings.path("spool_dir")
    if durability != "memory" and spool_dir is None:
        raise SettingsError(
            f"MONITORING_DURABILITY={durability} needs MONITORING_SPOOL_DIR, a directory on a local disk"
        )
    share = METRICS_SHARE if signal == METRICS.name else 1
    return Publisher(
        lambda: transport_from(settings),
        service=settings.text("service"),
        signal=signal,
        max_events=settings.whole("buffer_events") // share,
        max_bytes=settings.whole("buffer_bytes") // share,
        frame_events=settings.whole("frame_events"),
        flush_interval_seconds=settings.number("flush_interval"),
        spool=Spool(spool_dir, max_bytes=settings.whole("spool_bytes")) if spool_dir else None,
        required=durability == "required",
        refine=refine,
        on_trouble=on_trouble,
        on_start=on_start,
    )


def _streams(url: str, settings: Settings) -> StreamTransport:
    return StreamTransport(connect(url), stream_length=settings.whole("stream_length"))


def _is_ours(url: str) -> bool:
    client = connect(url)
    try:
        return bool(exchange(lambda: client.exists(META_KEY)))
    finally:
        client.close()
