"""A fork while a thread of ours imports: the child must be able to import the same."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from monitoring.pipeline.publish import forks

ROOT = Path(__file__).parents[3]

PROGRAM = """
import os, signal, sys, threading, time
from monitoring.pipeline.publish import forks

begun = threading.Event()
sys.begun = begun

def work():
    with forks.held_off():
        import slow

threading.Thread(target=work).start()
begun.wait()
pid = os.fork()
if pid == 0:
    signal.alarm(20)  # what would wait for ever ends here
    import slow
    os._exit(7 if slow.complete else 8)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_child_that_is_forked_during_an_import_can_import_the_same(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import sys, time\nsys.begun.set()\ntime.sleep(0.2)\ncomplete = True\n")
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "7\n", done.stderr


def test_forks_go_on_when_the_block_is_left_and_in_the_child_too() -> None:
    with forks.held_off():
        assert threading.active_count() >= 1
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            with forks.held_off():
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    with forks.held_off():
        pass
