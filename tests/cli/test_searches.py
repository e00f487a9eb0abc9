"""`monitoring searches`, here and over HTTP, and running what is saved."""

from __future__ import annotations

import json

from click.testing import CliRunner, Result

from monitoring.cli import main
from monitoring.pipeline.settings import TABLE
from tests.instance import Instance


def run(*arguments: str, env: dict[str, str]) -> Result:
    clean = dict.fromkeys(["REDIS_URL", *(row.name for row in TABLE)])
    return CliRunner().invoke(main, arguments, env={**clean, **env})


def test_a_search_is_saved_shown_run_and_removed_here_and_over_http(instance: Instance, remote: dict[str, str]) -> None:
    instance.post(b'{"message":"one","level":"error"}\n{"message":"two"}\n{"message":"three","level":"error"}')
    with instance.draining():
        instance.messages(3)
    local = {"MONITORING_DATA_DIR": str(instance.data), "MONITORING_BUS_URL": instance.url}
    for here, there in ((local, remote), (remote, local)):
        assert run("searches", "save", "my errors", "level:error OR level:fatal", env=here).exit_code == 0
        assert json.loads(run("searches", "list", "--json", env=there).stdout)[0]["name"] == "my errors"
        assert "my errors  level:error OR level:fatal" in run("searches", "list", env=here).stdout
        for more, count in (((), 2), (("three",), 1), (("two",), 0)):
            found = run("logs", "--saved", "my errors", *more, "--json", env=there)
            assert len(found.stdout.splitlines()) == count
        assert run("searches", "remove", "my errors", env=there).exit_code == 0
        for missing in (("searches", "remove", "my errors"), ("logs", "--saved", "my errors")):
            assert run(*missing, env=here).exit_code == 1


def test_what_cannot_be_saved_is_said_over_http_too(instance: Instance, remote: dict[str, str]) -> None:
    for environment in ({"MONITORING_DATA_DIR": str(instance.data)}, remote):
        assert "column" in run("searches", "save", "x", "level:", env=environment).stderr
        assert "name" in run("searches", "save", "a:b", "x", env=environment).stderr
