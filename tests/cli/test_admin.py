"""`monitoring keys`, `dead-letters` and `retention`, on a data directory and over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from monitoring.consumers import maintenance
from monitoring.pipeline.store.audit import Audit, Wanted
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.keys import Keys
from tests.cli.test_operate import local, run
from tests.frames import Sender, event
from tests.instance import Instance


@pytest.fixture(params=["local", "remote"])
def environment(request: pytest.FixtureRequest, instance: Instance) -> dict[str, str]:
    if request.param == "local":
        return local(instance)
    found: dict[str, str] = request.getfixturevalue("remote")
    return found


def ran(environment: dict[str, str], *arguments: str) -> str:
    done = run(*arguments, **environment)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_key_is_made_listed_and_revoked(instance: Instance, environment: dict[str, str]) -> None:
    text = ran(environment, "keys", "create", "shop", "--role", "ingest").strip()
    keys = Keys(Control(instance.data / "control.db"))
    key = keys.verify(text)
    assert key is not None
    assert (key.name, key.role, key.expires) == ("shop", "ingest", None)
    listed = ran(environment, "keys", "list")
    assert "shop" in listed
    assert text not in listed
    assert "revoked" in ran(environment, "keys", "revoke", key.prefix)
    assert keys.verify(text) is None
    states = {row["name"]: row["state"] for row in json.loads(ran(environment, "keys", "list", "--json"))}
    assert states["shop"] == "revoked"


def test_a_key_may_expire(instance: Instance, environment: dict[str, str]) -> None:
    made = json.loads(ran(environment, "keys", "create", "x", "--role", "viewer", "--expires-days", "1", "--json"))
    assert made["expires"] > made["created"]
    assert made["key"].startswith(f"mon_{made['prefix']}_")


def test_what_cannot_be_done_is_told_in_a_line(environment: dict[str, str]) -> None:
    for arguments in (
        ("keys", "revoke", "nobody"),
        ("dead-letters", "show", "9-9-9"),
        ("dead-letters", "replay", "9-9-9"),
        ("keys", "create", "", "--role", "viewer"),
    ):
        done = run(*arguments, **environment)
        assert done.exit_code == 1, arguments
        assert done.stderr.splitlines()[-1].startswith("monitoring: "), arguments
    assert run("keys", "create", "x", "--role", "root", **environment).exit_code == 2


def letters(environment: dict[str, str], *flags: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ran(environment, "dead-letters", "list", "--json", *flags))
    return found


def test_dead_letters_are_listed_shown_and_sent_again_once(
    instance: Instance,
    environment: dict[str, str],
) -> None:
    instance.post(b"broken line")
    frame = Sender(1, created=1).frame([event(1), event(2)])  # sealed in 1970: stale, and good otherwise
    instance.runtime.transport.publish("logs", 0, frame.lane, [frame])
    with instance.draining():
        while len(letters(environment)) < 2:
            pass
        stale = letters(environment, "--kind", "stale")[0]
        broken = letters(environment, "--kind", "input")[0]
        assert "broken line" in ran(environment, "dead-letters", "list")
        assert "raw: broken line" in ran(environment, "dead-letters", "show", broken["id"])
        assert "2 events stored" in ran(environment, "dead-letters", "replay", stale["id"])
        assert "were stored before" in ran(environment, "dead-letters", "replay", stale["id"])
        still = run("dead-letters", "replay", broken["id"], stale["id"], **environment)
        assert still.exit_code == 1
        assert "not valid JSON" in still.stderr
        assert "1 of 2 were not stored" in still.stderr
        assert len(instance.messages(2)) == 2
    assert letters(environment, "--limit", "1", "--kind", "stale")[0]["replayed"] is True


def test_retention_says_what_would_go(environment: dict[str, str]) -> None:
    assert "0 segments" in ran(environment, "retention", "--dry-run")
    assert json.loads(ran(environment, "retention", "--json")) == []


def test_purge_counts_asks_and_takes_out(environment: dict[str, str], instance: Instance) -> None:
    with instance.draining():
        instance.post(b'{"message": "the key is hunter2zz"}\n{"message": "harmless"}')
        instance.messages(2)
    assert "1 events would go" in ran(environment, "purge", "hunter2zz", "--dry-run")
    assert run("purge", "hunter2zz", **environment).exit_code == 1  # nobody says yes
    assert len(instance.messages(2)) == 2
    done = json.loads(ran(environment, "purge", "hunter2zz", "--start", "-1h", "--yes", "--json"))
    if "id" in done:
        assert maintenance.run(instance.settings)["purged"] == 1
    else:
        assert (done["events"], done["complete"]) == (1, True)
    assert instance.messages(1) == ["harmless"]
    assert "0 events would go" in ran(environment, "purge", "hunter2zz", "--yes")
    actions = [entry.action for entry in Audit(instance.runtime.control).find(Wanted(action="purge.*"), limit=9)]
    assert actions == ["purge.end", "purge.begin"]
