"""`monitoring listen`: a syslog server in front of the pipeline."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
from pathlib import Path
from typing import NamedTuple

import click

from monitoring.cli.log import configure
from monitoring.pipeline import settings as settings_table
from monitoring.pipeline.errors import AlreadyRunning, SettingsError
from monitoring.pipeline.ingest.listener import Listener
from monitoring.pipeline.publish.connect import transport_from
from monitoring.pipeline.publish.publisher import Publisher
from monitoring.pipeline.publish.spool import Spool
from monitoring.pipeline.settings import Settings

__all__ = ["listen"]

_log = logging.getLogger("monitoring.listen")

DEFAULT_ADDRESS = "127.0.0.1:5514"
"""Syslog's own ports 514 and 6514 need rights, and are taken where a daemon runs."""
_REPORT_SECONDS = 60.0
_CLOSE_SECONDS = 3.0


class _Sockets(NamedTuple):
    udp: socket.socket | None
    tcp: socket.socket | None
    tls: socket.socket | None
    context: ssl.SSLContext | None


@click.command()
@click.option("--udp", metavar="[HOST:]PORT", help="Take datagrams here.")
@click.option("--tcp", metavar="[HOST:]PORT", help="Take connections here.")
@click.option("--tls", metavar="[HOST:]PORT", help="Take connections with TLS here; needs --cert and --key.")
@click.option("--cert", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Certificate chain, PEM.")
@click.option("--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its private key, PEM.")
@click.option(
    "--client-ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Only clients with a certificate of this authority, PEM.",
)
def listen(
    udp: str | None, tcp: str | None, tls: str | None, cert: Path | None, key: Path | None, client_ca: Path | None
) -> None:
    """Take syslog, RFC 5424 and RFC 3164, over UDP, TCP and TLS until Ctrl-C.

    Without --udp, --tcp or --tls it listens on 127.0.0.1:5514, UDP and TCP. Port 0 is any free one. Senders are not
    asked for a key: listen on an address that only they reach, or with TLS and --client-ca.

    \b
    A message by hand:
        logger --server 127.0.0.1 --port 5514 --tcp 'hello'
    Where it is sent to: as for any service
        MONITORING_BUS_URL, or MONITORING_URL with MONITORING_API_KEY
    What is read is fsynced in MONITORING_SPOOL_DIR (the data directory's spool) before it is sent.
    """
    if udp is tcp is tls is None:
        udp = tcp = DEFAULT_ADDRESS
    if tls is not None and (cert is None or key is None):
        raise click.UsageError("--tls needs --cert and --key")
    chosen = settings_table.load()
    transport_from(chosen).close()  # says what is missing before anything listens
    context = None if tls is None or cert is None or key is None else _context(cert, key, client_ca)
    sockets = _Sockets(
        udp=_bind("--udp", udp, socket.SOCK_DGRAM),
        tcp=_bind("--tcp", tcp, socket.SOCK_STREAM),
        tls=_bind("--tls", tls, socket.SOCK_STREAM),
        context=context,
    )
    configure(chosen, "listen")
    publisher = _publisher(chosen)
    try:
        asyncio.run(_run(chosen, publisher, sockets))
    finally:
        publisher.close(_CLOSE_SECONDS)


def _publisher(chosen: Settings) -> Publisher:
    """One that keeps all it took: what is in its spool and not yet stored is adopted by the next process."""
    return Publisher(
        lambda: transport_from(chosen),
        service="monitoring-listen",
        max_events=chosen.whole("buffer_events"),
        max_bytes=chosen.whole("buffer_bytes"),
        frame_events=chosen.whole("frame_events"),
        flush_interval_seconds=chosen.number("flush_interval"),
        spool=Spool(chosen.path("spool_dir") or chosen.data / "spool", max_bytes=chosen.whole("spool_bytes")),
        required=True,
        on_trouble=lambda reason: _log.warning("%s; what was read is kept in the spool", reason),
    )


def _context(cert: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    """TLS as a server. Raises SettingsError for files that are none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"the certificate or key cannot be used: {error}") from error
    return context


def _bind(option: str, address: str | None, kind: socket.SocketKind) -> socket.socket | None:
    """A socket on this address. Raises SettingsError, AlreadyRunning where it is taken."""
    if address is None:
        return None
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isdecimal() or int(port) > 65535:
        raise SettingsError(f"{option} {address}: the port is a number up to 65535, perhaps behind a host and a colon")
    try:
        (family, _, _, _, where), *_ = socket.getaddrinfo(host, int(port), type=kind, flags=socket.AI_PASSIVE)
        bound = socket.socket(family, kind)
        try:
            if kind is socket.SOCK_STREAM:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(where)
            if kind is socket.SOCK_STREAM:
                bound.listen(1024)
        except OSError:
            bound.close()
            raise
    except (socket.gaierror, PermissionError) as error:
        raise SettingsError(f"{option} {address}: {error.strerror}; ports below 1024 are the system's") from error
    except OSError as error:
        raise AlreadyRunning(f"{option} {address}: {error.strerror}") from error
    bound.setblocking(False)
    return bound


async def _run(chosen: Settings, publisher: Publisher, sockets: _Sockets) -> None:
    listener = Listener(
        publisher.emit_all,
        service=chosen.text("service"),
        environment=chosen.text("environment"),
        release=chosen.text("release"),
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if sockets.udp is not None:
        await listener.add_udp(sockets.udp)
    if sockets.tcp is not None:
        await listener.add_tcp(sockets.tcp)
    if sockets.tls is not None:
        await listener.add_tcp(sockets.tls, sockets.context)
    click.echo(f"monitoring listen: syslog on {_where(sockets)}; Ctrl-C to stop")
    await _until(stop, listener)
    await listener.stop()
    counts = listener.counts
    click.echo(f"monitoring listen: {counts.events} events, {counts.rejected} rejected, {counts.dropped} dropped")


async def _until(stop: asyncio.Event, listener: Listener) -> None:
    """Wait for the end, and say once a minute what was dropped since."""
    said = (0, 0)
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), _REPORT_SECONDS)
        except TimeoutError:
            now = (listener.counts.dropped, listener.counts.refused_connections)
            if now != said:
                _log.warning("dropped %d messages and refused %d connections so far", *now)
            said = now


def _where(sockets: _Sockets) -> str:
    named = (("udp", sockets.udp), ("tcp", sockets.tcp), ("tls", sockets.tls))
    return ", ".join(
        f"{name} {bound.getsockname()[0]}:{bound.getsockname()[1]}" for name, bound in named if bound is not None
    )
