"""Keys, dead letters, retention and purges over HTTP."""

from __future__ import annotations

import re
from typing import Any

import pytest

from monitoring.consumers import maintenance
from monitoring.pipeline.store.verify import verify
from tests.frames import Sender, event
from tests.instance import Instance

# keys


def create(instance: Instance, **members: Any) -> Any:
    return instance.call("POST", "/api/v1/keys", json=members)


def test_a_key_is_shown_once_listed_used_and_revoked(instance: Instance) -> None:
    made = create(instance, name="shipper", role="ingest", expires_seconds=60)
    assert made.status_code == 201
    text = made.json["key"]
    assert re.fullmatch(r"mon_[0-9a-f]+_[0-9a-f]{32,}", text)
    instance.keys["mine"] = text
    assert instance.call("POST", "/api/v1/logs", "mine", data=b"").status_code == 202
    listed = instance.get("/api/v1/keys")
    assert text not in str(listed)
    mine = next(key for key in listed["keys"] if key["name"] == "shipper")
    assert (mine["role"], mine["state"], mine["revoked"]) == ("ingest", "active", None)
    assert mine["last_used"].endswith("Z")
    assert mine["expires"].endswith("Z")
    revoked = instance.call("DELETE", f"/api/v1/keys/{mine['id']}")
    assert revoked.json is not None
    assert revoked.json["state"] == "revoked"
    assert instance.call("DELETE", "/api/v1/keys/nobody").status_code == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", None),
        ("name", ""),
        ("name", "a\r\nb"),
        ("name", 7),
        ("role", "root"),
        ("role", None),
        ("expires_seconds", -1),
        ("expires_seconds", "1h"),
        ("expires_seconds", 1e300),
        ("quota", 0),
        ("quota", "many"),
        ("admin", True),
    ],
)
def test_an_unusable_member_is_named(instance: Instance, field: str, value: Any) -> None:
    answer = create(instance, **{"name": "x", "role": "viewer", field: value})
    assert answer.status_code == 400
    assert answer.json["field"] == field


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b'"x"', b"\xff"])
def test_a_body_that_is_no_object_is_refused(instance: Instance, body: bytes) -> None:
    assert instance.call("POST", "/api/v1/keys", data=body).status_code == 400


# dead letters


def letters(instance: Instance, **query: str) -> Any:
    return instance.get("/api/v1/dead-letters", query_string=query)


def test_dead_letters_are_listed_newest_first_and_shown_whole(instance: Instance) -> None:
    for number in range(3):
        instance.post(b"broken %d " % number + b"x" * 500)
    with instance.draining():
        while letters(instance)["total"] < 3:
            pass
    found = letters(instance)["dead_letters"]
    assert len(letters(instance, limit="2")["dead_letters"]) == 2
    assert {len(letter["raw"]) for letter in found} == {400}
    whole = instance.get(f"/api/v1/dead-letters/{found[0]['id']}")
    assert (whole["raw_bytes"], len(whole["raw"]), whole["raw_encoding"]) == (509, 509, "utf-8")
    assert letters(instance, kind="poison")["dead_letters"] == []
    assert instance.call("GET", "/api/v1/dead-letters?kind=x").status_code == 400
    for unknown in ("9-9-9", "x", "0-1-99999999999999999999", "-1-1-1"):
        assert instance.call("GET", f"/api/v1/dead-letters/{unknown}").status_code == 404


def test_raw_bytes_that_are_no_text_come_as_base64(instance: Instance) -> None:
    instance.post(b"\xff\xfe\x00")
    with instance.draining():
        while not letters(instance)["total"]:
            pass
    letter = letters(instance)["dead_letters"][0]
    assert (letter["raw_encoding"], letter["raw"]) == ("base64", "//4A")


def test_a_letter_that_can_be_understood_now_is_stored_once_however_often_it_is_replayed(instance: Instance) -> None:
    sender = Sender(1, created=1)  # sealed in 1970: stale, and good otherwise
    frame = sender.frame([event(1), event(2)])
    instance.runtime.transport.publish("logs", 0, frame.lane, [frame])
    with instance.draining():
        while not letters(instance)["total"]:
            pass
        letter = letters(instance)["dead_letters"][0]
        assert (letter["kind"], letter["replayed"]) == ("stale", False)
        first = instance.call("POST", f"/api/v1/dead-letters/{letter['id']}/replay")
        assert (first.status_code, first.json) == (200, {"id": letter["id"], "events": 2, "replayed_before": False})
        second = instance.call("POST", f"/api/v1/dead-letters/{letter['id']}/replay")
        assert second.json is not None
        assert second.json["replayed_before"] is True
        assert len(instance.messages(2)) == 2
    assert letters(instance)["dead_letters"][0]["replayed"] is True
    assert verify(instance.catalog).findings == []


def test_a_replay_that_died_before_it_was_recorded_is_absorbed_when_it_is_repeated(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monitoring.pipeline.store.promises import Replays

    frame = Sender(1, created=1).frame([event(1)])
    instance.runtime.transport.publish("logs", 0, frame.lane, [frame])

    def die(*arguments: object) -> None:
        raise KeyboardInterrupt

    with instance.draining():
        while not letters(instance)["total"]:
            pass
        letter = letters(instance)["dead_letters"][0]["id"]
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Replays, "finish", die)
            instance.call("POST", f"/api/v1/dead-letters/{letter}/replay")
        assert instance.call("POST", f"/api/v1/dead-letters/{letter}/replay").status_code == 200
        assert len(instance.messages(1)) == 1
    assert letters(instance)["total"] == 1
    assert verify(instance.catalog).findings == []


def test_a_letter_that_still_cannot_be_understood_stays(instance: Instance) -> None:
    instance.post(b"not json")
    with instance.draining():
        while not letters(instance)["total"]:
            pass
        letter = letters(instance)["dead_letters"][0]["id"]
        answer = instance.call("POST", f"/api/v1/dead-letters/{letter}/replay")
    assert answer.status_code == 422
    assert answer.json is not None
    assert "not valid JSON" in answer.json["detail"]


# retention


def test_a_dry_run_says_what_would_go_and_a_real_one_enqueues_the_job(instance: Instance) -> None:
    answer = instance.call("POST", "/api/v1/maintenance/retention", json={"dry_run": True})
    assert (answer.status_code, answer.json) == (200, {"segments": [], "dry_run": True, "enqueued": False})
    assert instance.streams.client.llen("rq:queue:monitoring-maintenance") == 0
    answer = instance.call("POST", "/api/v1/maintenance/retention")
    assert answer.status_code == 202
    assert instance.streams.client.llen("rq:queue:monitoring-maintenance") == 1
    assert instance.call("POST", "/api/v1/maintenance/retention", json={"dry_run": "x"}).status_code == 400
    assert instance.call("POST", "/api/v1/maintenance/retention", json={"force": True}).status_code == 400


# purge


def test_a_purge_is_counted_asked_for_and_done_by_maintenance_and_its_query_is_written_down_nowhere(
    instance: Instance,
) -> None:
    with instance.draining():
        instance.post(b'{"message": "the key is hunter2zz"}\n{"message": "harmless"}\n{"key": "hunter2zz\n{"key": 1')
        while not instance.get("/api/v1/logs?query=hunter2zz")["events"]:
            pass
    address = "/api/v1/maintenance/purge"

    def ask(**members: Any) -> Any:
        return instance.call("POST", address, json=members)

    found = ask(query="hunter2zz", start="-1h", dry_run=True).json
    assert (found["events"], found["dead_letters"], found["complete"]) == (1, 1, True)
    assert ask(query="(hunter2zz").status_code == 400
    assert ask(start="-1h").status_code == 400
    asked = ask(query="hunter2zz")
    assert (asked.status_code, asked.json["state"]) == (202, "waiting")
    assert instance.streams.client.llen("rq:queue:monitoring-maintenance") == 1
    assert maintenance.run(instance.settings)["purged"] == 1
    [done] = instance.get(address)["purges"]
    assert (done["id"], done["state"], done["events"]) == (asked.json["id"], "done", 1)
    assert done["dead_letters"] == 1
    letters = instance.get("/api/v1/dead-letters")["dead_letters"]
    assert sorted(letter["raw"] for letter in letters) == ["", '{"key": 1']
    events = instance.get("/api/v1/logs")["events"]
    assert [event["message"] for event in events] == ["harmless"]
    entries = instance.get("/api/v1/audit?action=purge.*")["entries"]
    assert [entry["action"] for entry in entries] == ["purge.end", "purge.begin"]
    assert verify(instance.catalog).findings == []
    stored = list((instance.settings.data / "logs").rglob("*.db*"))
    assert stored
    assert [str(path) for path in stored if b"hunter2zz" in path.read_bytes()] == []
    for name in ("control.db", "control.db-wal"):
        assert b"hunter2zz" not in (instance.settings.data / name).read_bytes()
