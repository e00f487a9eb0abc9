"""Whatever a program does to `logging`, what it logs arrives; and a stop leaves nothing of ours behind."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.producers.survival.support import run

CONFIGURED = """
import logging, logging.config, sys
from monitoring import get_logger
from monitoring.startup import start_monitoring_with_config

existing, structured = logging.getLogger("existing"), get_logger("structured")
start_monitoring_with_config()
existing.info("before")
structured.info("before")
logging.getLogger().addHandler(logging.NullHandler())
{what}
existing.info("behind")
structured.info("behind")
logging.getLogger("new").info("behind")
"""
DICT = (
    'logging.config.dictConfig({"version": 1, "disable_existing_loggers": %s, "handlers": {}, '
    '"root": {"level": "INFO", "handlers": []}})'
)
WAYS = {
    "dictConfig": DICT % "False",
    "dictConfig, twice": f"{DICT % 'False'}; {DICT % 'False'}",
    "basicConfig": "logging.basicConfig(force=True, level='INFO', handlers=[logging.NullHandler()])",
    "handlers cleared": "logging.getLogger().handlers.clear(); existing.propagate = False",
    "shutdown": "logging.shutdown()",
    "a class of loggers": "logging.setLoggerClass(type('Mine', (logging.Logger,), {}))",
    "a record factory": "logging.setLogRecordFactory(type('Mine', (logging.LogRecord,), {'more': 'x'}))",
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_logged_behind_it_arrives_too(bus, tmp_path, way):
    run(CONFIGURED.format(what=WAYS[way]), bus.url, tmp_path).assert_clean()
    said = Counter((event.logger, event.message) for event in bus.events())
    assert said == {
        ("existing", "before"): 1,
        ("structured", "before"): 1,
        ("existing", "behind"): 1,
        ("structured", "behind"): 1,
        ("new", "behind"): 1,
    }


def test_a_logger_that_the_configuration_disables_is_silent_as_the_program_has_said(bus, tmp_path):
    run(CONFIGURED.format(what=DICT % "True"), bus.url, tmp_path).assert_clean()
    assert [event.logger for event in bus.events() if event.message == "behind"] == ["structured", "new"]


HANDLED = """
import logging, logging.config
from monitoring.startup import start_monitoring_with_config
start_monitoring_with_config(capture_logging=False)
logging.config.dictConfig({"version": 1, "handlers": {"ours": {"class": "monitoring.MonitoringHandler"}},
                           "root": {"level": "INFO", "handlers": ["ours"]}})
logging.info("one")
logging.shutdown()
logging.info("two")
"""


def test_our_handler_goes_on_after_logging_was_shut_down(bus, tmp_path):
    run(HANDLED, bus.url, tmp_path).assert_clean()
    assert bus.messages() == ["one", "two"]


AGAIN = """
import atexit, gc, logging, os, signal, sys, threading
from monitoring import get_logger
from monitoring.startup import start_monitoring_with_config, stop_monitoring
from monitoring.testing import capture

def state():
    gc.collect()
    return {
        "threads": threading.active_count(),
        "files": len(os.listdir("/proc/self/fd")),
        "functions at exit": atexit._ncallbacks(),
        "os._exit": os._exit,
        "raise_signal": signal.raise_signal,
        "callHandlers": logging.Logger.callHandlers,
        "handlers": logging.getLogger().handlers[:],
        "hooks": (sys.excepthook, threading.excepthook),
        "info": type(get_logger("x")).info,
    }

def once(number):
    start_monitoring_with_config()
    get_logger("app").info("structured", number=number)
    logging.getLogger("app").info("standard", extra={"number": number})
    with capture() as captured:
        get_logger("app").info("captured")
    assert captured.messages == ["captured"]
    assert stop_monitoring(30)

original = {name: value for name, value in state().items() if name != "functions at exit"}
once(0)
first = state()
assert first.items() >= original.items(), (original, first)
for number in range(1, 20):
    once(number)
assert state() == first, (first, state())
"""


def test_it_can_be_started_again_and_again_and_leaves_nothing_behind(bus, tmp_path):
    run(AGAIN, bus.url, tmp_path).assert_clean()
    assert Counter(bus.messages()) == {"structured": 20, "standard": 20}
    assert len(bus.reports()) == 20, "one lane for each time"
    assert all(report["closed"] for report in bus.reports().values())
