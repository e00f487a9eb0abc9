"""`monitoring audit` and `monitoring login`, on a data directory and over HTTP."""

from __future__ import annotations

import json

from tests.cli.test_admin import environment, ran
from tests.cli.test_operate import local, run
from tests.instance import Instance

__all__ = ["environment"]  # the fixture: once on the directory, once over HTTP


def test_what_a_command_changes_is_on_record_wherever_it_ran(
    instance: Instance,
    environment: dict[str, str],
) -> None:
    ran(environment, "keys", "create", "shop", "--role", "ingest")
    ran(environment, "searches", "save", "mine", "level:error")
    ran(environment, "searches", "remove", "mine")
    found = json.loads(ran(environment, "audit", "--json"))
    assert [entry["action"] for entry in found[:3]] == ["search.remove", "search.save", "key.create"]
    assert {entry["actor"].partition(":")[0] for entry in found[:3]} <= {"local", "key"}
    assert found[0]["before"]["query"] == "level:error"
    assert "mine" in ran(environment, "audit", "--action", "search.*", "--since", "-1h")
    assert ran(environment, "audit", "nosuchtext").strip() == "nothing on record"
    lines = [json.loads(line) for line in ran(environment, "audit", "--export", "--object", "mine").splitlines()]
    assert [entry["action"] for entry in lines] == ["search.save", "search.remove"]


def test_a_link_is_printed_on_the_instances_own_machine_and_works(instance: Instance) -> None:
    link = ran(local(instance), "login", "--role", "viewer").strip()
    browser = instance.app.test_client()
    assert browser.get("/login?" + link.partition("?")[2]).status_code == 303
    answer = browser.get("/api/v1/session").json
    assert answer is not None
    assert answer["role"] == "viewer"


def test_over_http_there_are_no_links(remote: dict[str, str]) -> None:
    done = run("login", **remote)
    assert done.exit_code == 2
    assert "API key" in done.output
