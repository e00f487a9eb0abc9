"""Greenlets go on while events are sent, whether gevent patched before our import, after the start, or in a child."""

from __future__ import annotations

import pytest

from tests.producers.survival.support import run

SCRIPT = """
import os, sys
if {before}:
    from gevent import monkey; monkey.patch_all({options})
from monitoring import bind, get_logger
from monitoring.startup import flush_monitoring, start_monitoring_with_config
start_monitoring_with_config()
log = get_logger("app")
if {forked} and (child := os.fork()):
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
if not {before}:
    import warnings; warnings.simplefilter("ignore")  # gevent's own, about ssl
    from gevent import monkey; monkey.patch_all({options})
import gevent

turns = 0
def others():
    global turns
    while True:
        turns += 1
        gevent.sleep(0)

def work(name):
    bind(worker=name)
    for number in range(20):
        log.info("n", number=number)
        gevent.sleep(0.005)

gevent.spawn(others)
gevent.joinall([gevent.spawn(work, name) for name in "abc"])
gevent.sleep(0.3)  # longer than the flush interval: the sender waits in the middle of this
assert flush_monitoring(30)
before = turns
gevent.sleep(0.05)
assert turns > before + 10, "somebody blocks all others"
print(turns)
"""


@pytest.mark.parametrize(
    ("when", "options"),
    [
        ("before", ""),
        ("before", "thread=False"),
        ("before", "queue=False"),
        ("before", "socket=False"),
        ("behind the start", ""),
        ("behind the start", "thread=False"),
        ("behind a fork", ""),
    ],
)
def test_every_event_arrives_and_other_greenlets_have_their_turns(bus, tmp_path, when, options):
    script = SCRIPT.format(before=when == "before", forked=when == "behind a fork", options=options)
    with bus.committing():  # so that the sender has nothing left to do, and waits without end
        done = run(script, bus.url, tmp_path)
    done.assert_clean()
    attributes = sorted(event.attributes for event in bus.events())
    assert attributes == sorted(f'{{"worker":"{name}","number":{n}}}' for name in "abc" for n in range(20))
