"""`monitoring channels`, here and over HTTP."""

from __future__ import annotations

import json
import os
import threading

from click.testing import CliRunner, Result

from monitoring.cli import main
from monitoring.cli.instance import LOCK_FILE
from monitoring.consumers import notify
from monitoring.pipeline import jobs
from monitoring.pipeline.bus.streams import connect
from monitoring.pipeline.settings import TABLE
from tests.instance import Instance
from tests.sink import sinking


def run(*arguments: str, env: dict[str, str], given: str | None = None) -> Result:
    clean = dict.fromkeys(["REDIS_URL", *(row.name for row in TABLE)])
    return CliRunner().invoke(main, arguments, env={**clean, **env}, input=given)


def test_a_channel_is_added_listed_tested_and_removed_here_and_over_http(
    instance: Instance, remote: dict[str, str]
) -> None:
    allowed = {"MONITORING_ALLOW_PRIVATE_WEBHOOKS": "true"}
    local = {"MONITORING_DATA_DIR": str(instance.data), "MONITORING_BUS_URL": instance.url, **allowed}
    client, stopping = connect(instance.url), threading.Event()

    def work() -> None:
        while not stopping.wait(0.02):
            waits = instance.runtime.control.rows("SELECT 1 FROM outbox WHERE state = 'waiting'")
            if client.delete("rq:queue:monitoring-notify") or waits:  # as the ticker has it
                notify.run(instance.settings.replace(allow_private_webhooks=True))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        with sinking() as sink:
            for here, there in ((local, remote), (remote, local)):
                added = run(
                    "channels", "add", "hook", "--kind", "webhook", "--set", f"url={sink.url}", "--set", "secret=-",
                    "--set", "headers.X-Team=night", "--set", "rate_per_minute=60", "--default", env=here,
                    given="sekret\n",
                )  # fmt: skip
                assert added.exit_code == 0, added.output
                (listed,) = json.loads(run("channels", "list", "--json", env=there).stdout)
                assert (listed["name"], listed["default"], listed["config"]["rate_per_minute"]) == ("hook", True, 60)
                shown = run("channels", "list", env=here).stdout
                assert "hook" in shown
                assert "sekret" not in shown + str(listed)
                told = run("channels", "test", "hook", env=here)
                assert told.stdout == "hook: delivered: 200 thanks\n", told.output
                assert ("environment of this shell" in told.stderr) == (here is local)
                assert sink.received[-1].headers["X-Team"] == "night"
                sink.behave = lambda number, path: "404"
                failed = run("channels", "test", "hook", "--json", env=here)
                assert failed.exit_code == 1
                assert json.loads(failed.stdout)["delivered"] is False
                sink.behave = lambda number, path: "ok"
                assert run("channels", "remove", "hook", env=there).exit_code == 0
                for missing in ("remove", "test"):
                    assert run("channels", missing, "hook", env=here).exit_code == 1
            (instance.data / LOCK_FILE).write_text(f'{{"pid": {os.getpid()}, "address": "http://127.0.0.1:1"}}')
            run("channels", "add", "hook", "--kind", "webhook", "--set", f"url={sink.url}", env=local)
            shell = {name: value for name, value in local.items() if name not in allowed}
            answers = [run("channels", "test", name, env=shell) for name in ("hook", "none")]
            assert answers[0].output == "hook: delivered: 200 thanks\n"  # by the worker, which may go there
            assert "there is no channel none" in answers[1].stderr
    finally:
        stopping.set()
        worker.join()
    assert jobs.queued(client, jobs.NOTIFY) == 0


def test_what_cannot_be_added_is_said(instance: Instance, remote: dict[str, str]) -> None:
    for environment in ({"MONITORING_DATA_DIR": str(instance.data)}, remote):
        wrong = run("channels", "add", "x", "--kind", "slack", "--set", "url=ftp://x", env=environment)
        assert wrong.exit_code == 1
        assert "url: expected http" in wrong.stderr
    assert run("channels", "add", "x", "--kind", "slack", "--set", "url", env=remote).exit_code == 2
