"""Logging from within logging ends: our own sending makes no events, and what the application does has its bounds."""

from __future__ import annotations

import orjson
import pytest

from tests.producers.survival.support import Bus, run
from tests.producers.survival.test_dead_bus import SPOKEN, talking

SENDING = (
    """
import logging, redis
logging.basicConfig(level=logging.DEBUG, handlers=[logging.NullHandler()])
for name in ("redis", "redis.connection", "monitoring", "asyncio"):
    logging.getLogger(name).setLevel(logging.DEBUG)

def chatty(call):  # as an instrumented client is: it logs what it does
    def called(self, *args, **options):
        logging.getLogger("redis.instrumented").debug("a command")
        return call(self, *args, **options)
    return called
redis.Redis.execute_command = chatty(redis.Redis.execute_command)
redis.client.Pipeline.execute = chatty(redis.client.Pipeline.execute)
redis.connection.ConnectionPool.get_connection = chatty(redis.connection.ConnectionPool.get_connection)

"""
    + SPOKEN
    + """
for number in range(10):
    get_logger("app").info("mine", number=number)
    logging.getLogger("app").debug("mine")
logs = sdk.running().logs
while logs._flusher.breaker.failures < 5:  # a second or two
    time.sleep(0.01)
say()
while not logs.counters().sealed:
    time.sleep(0.01)
say()
"""
)


@pytest.mark.parametrize("patch", ["", "from gevent import monkey; monkey.patch_all()"], ids=["threads", "greenlets"])
def test_sending_makes_no_events_of_its_own_though_the_bus_fails_over_and_over(valkey_servers, tmp_path, patch):
    server = valkey_servers()
    server.kill()
    with talking(f"{patch}\n{SENDING}", server.url, tmp_path) as program:
        program.hear()
        assert program.hear()["emitted"] == 20
        server.start()
        bus = Bus(server.url)
        bus.announce()
        assert program.hear()["emitted"] == 20
    assert bus.messages() == ["mine"] * 20
    assert not [report for report in bus.reports().values() if not report["closed"]]


NESTED = """
import logging, orjson, os, sys
from monitoring import MonitoringHandler, get_logger
from monitoring.producers import sdk
from monitoring.startup import start_monitoring_with_config

log, standard = get_logger("app"), logging.getLogger("app")
bridged = logging.getLogger("bridged")
filtered = logging.getLogger("filtered")
logging.getLogger().addHandler(logging.NullHandler())

class Bridge(logging.Handler):
    def emit(self, record):
        get_logger("bridged").info(record.getMessage())

class Filter(logging.Filter):
    def filter(self, record):
        filtered.info("filtering")
        return True

class Shown:
    def __repr__(self):
        log.info("shown", me=self)
        standard.info("shown", extra={"me": self})
        return "shown"

class Filled:
    def __repr__(self):
        log.info("%r", self)
        standard.info("%r", self)
        return "filled"

class Message:
    def __str__(self):
        log.info(self)
        standard.info(self)
        return "message"

class Mapped(dict):
    def items(self):
        log.info("mapped", me=self, other=float("nan"))
        return super().items()

class Failed(Exception):
    def __str__(self):
        log.exception("failed", exc_info=self)
        standard.error("failed", exc_info=self)
        return "failed"

class Stream:
    def write(self, text):
        if text.strip():
            log.info("written")
            standard.info("written")
    def flush(self):
        pass

def fail():
    try:
        raise Failed
    except Failed as error:
        log.exception("failed", error=error)

def dive(depth=0):
    log.info("deep", depth=depth)
    standard.info("deep")
    dive(depth + 1)

def dive_and_come_up():
    try:
        dive()
    except RecursionError:  # the program's own
        return

CASES = {
    "shown": lambda: log.info("x", it=Shown()),
    "filled": lambda: log.info("%s", Filled()),
    "message": lambda: log.info(Message()),
    "mapped": lambda: log.info("x", it=[Mapped(a=1), float("nan")]),
    "failed": fail,
    "deep": dive_and_come_up,
    "bridged": lambda: bridged.info("x"),
    "filtered": lambda: filtered.info("x"),
}
bridged.addHandler(Bridge())
before = {}
bridged.info("without a client, too")
start_monitoring_with_config(log_level="DEBUG", console=sys.argv[1], capture_logging=True)
handler = MonitoringHandler()
handler.addFilter(Filter())
filtered.addHandler(handler)
if sys.argv[1] == "on":
    sys.stderr = Stream()
found = {}
for name, case in CASES.items():
    emitted = sdk.running().logs.counters().emitted
    case()
    found[name] = sdk.running().logs.counters().emitted - emitted
print(orjson.dumps(found).decode())
"""


@pytest.mark.parametrize("console", ["off", "on"])
def test_what_logs_while_it_is_logged_ends_and_raises_nothing(bus, tmp_path, console):
    done = run(NESTED, bus.url, tmp_path, console)
    assert (done.status, done.errors) == (0, "")
    found = orjson.loads(done.output)
    deep = found.pop("deep")
    assert min(found.values()) >= 1
    assert max(found.values()) < 1000, found
    assert deep < 20_000, "each of a thousand levels says two things"
    assert len(bus.events()) == sum(found.values()) + deep
