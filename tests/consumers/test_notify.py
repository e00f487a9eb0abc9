"""Delivery against a real HTTP server that fails, hangs, asks for a pause, or dies between accept and reply."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from monitoring.consumers import retry, stop
from monitoring.consumers.notify import Notifier, run
from monitoring.pipeline import settings
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.channels import Channels
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.outbox import Outbox
from tests.mailbox import receiving
from tests.notices import alert, notice, put_all, states
from tests.sink import Sink, sinking


@pytest.fixture
def sink() -> Iterator[Sink]:
    with sinking() as sink:
        yield sink


@pytest.fixture
def chosen(tmp_path: Path) -> Settings:
    return settings.load({"MONITORING_DATA_DIR": str(tmp_path), "MONITORING_ALLOW_PRIVATE_WEBHOOKS": "true"})


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    with contextlib.closing(Control(tmp_path / "control.db")) as control:
        yield control


@pytest.fixture
def hook(chosen: Settings, control: Control, sink: Sink) -> Callable[..., str]:
    """Make a webhook channel that leads to the sink."""

    def make(name: str = "hook", path: str = "/", **config: object) -> str:
        Channels(control, chosen).save(name, "webhook", {"url": sink.url + path, **config})
        return name

    return make


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.05)


def test_a_notice_is_delivered_once_and_marked_with_what_the_far_end_said(
    hook: Callable[..., str], chosen: Settings, control: Control, sink: Sink
) -> None:
    put_all(control, notice(hook()))
    assert run(chosen)["sent"] == 1
    assert run(chosen)["sent"] == 0
    assert [each.key for each in sink.received] == ["a1:1:hook"]
    assert sink.received[0].json["notices"] == [{"key": "a1:1:hook", "event": "firing", "alert": alert()}]
    assert sink.received[0].json["title"] == "[CRITICAL] Responses are slow (service=api, host=web1)"
    found = Outbox(control).find("a1:1:hook")
    assert found is not None
    assert (found.state, found.reply, found.attempts, found.error) == ("sent", "200 thanks", 1, "")


def test_a_message_is_signed_over_its_time_and_body(
    hook: Callable[..., str], chosen: Settings, control: Control, sink: Sink
) -> None:
    put_all(control, notice(hook(secret="s3cret", headers={"X-Team": "night"})))
    run(chosen)
    (got,) = sink.received
    signed = f"{got.headers['X-Monitoring-Timestamp']}.".encode() + got.body
    assert got.headers["X-Monitoring-Signature"] == "v1=" + hmac.new(b"s3cret", signed, hashlib.sha256).hexdigest()
    assert abs(int(got.headers["X-Monitoring-Timestamp"]) - time.time()) < 60
    assert got.headers["X-Team"] == "night"


@pytest.mark.parametrize("trouble", ["503", "500", "408", "429", "die"])
def test_a_passing_trouble_is_tried_again_under_the_same_key(
    hook: Callable[..., str], chosen: Settings, control: Control, sink: Sink, trouble: str
) -> None:
    sink.behave = lambda number, path: trouble if number < 2 else "ok"
    put_all(control, notice(hook()))
    assert run(chosen) == {"sent": 1, "failed": 0, "retried": 2, "dropped": 0}
    assert [each.key for each in sink.received] == ["a1:1:hook"] * 3


@pytest.mark.parametrize("refusal", ["400", "404", "410", "302 http://127.0.0.1:1/"])
def test_a_refusal_is_not_tried_again_and_no_redirect_is_followed(
    hook: Callable[..., str], chosen: Settings, control: Control, sink: Sink, refusal: str
) -> None:
    sink.behave = lambda number, path: refusal
    put_all(control, notice(hook()))
    assert run(chosen)["failed"] == 1
    assert len(sink.received) == 1
    found = Outbox(control).find("a1:1:hook")
    assert found is not None
    assert found.state == "failed"
    assert refusal[:3] in found.error


def test_what_a_far_end_asks_for_with_429_holds_for_the_whole_channel(
    hook: Callable[..., str], chosen: Settings, control: Control, sink: Sink
) -> None:
    sink.behave = lambda number, path: "429 40"
    put_all(control, notice(hook(), "a1"))
    run(chosen)
    put_all(control, notice("hook", "a2"))
    assert run(chosen)["sent"] == 0
    assert len(sink.received) == 1
    due = Outbox(control).due_at()
    assert due is not None
    assert 30e9 < due - time.time_ns() <= 40e9


def test_a_channel_that_hangs_holds_up_no_other(
    hook: Callable[..., str], chosen: Settings, control: Control, sink: Sink
) -> None:
    sink.behave = lambda number, path: "hang" if path == "/hang" else "ok"
    hook("hang", "/hang")
    put_all(control, *(notice("hang", f"h{number}") for number in range(20)))
    put_all(control, *(notice(hook(), f"a{number}") for number in range(5)))
    job = threading.Thread(target=Notifier(chosen, control).run)
    job.start()
    sink.wait(6)
    assert sum(each.path == "/hang" for each in sink.received) == 1  # one at a time
    sink.behave = lambda number, path: "ok"
    sink.released.set()
    job.join(30)
    assert not job.is_alive()
    assert set(states(control).values()) == {"sent"}


def test_notices_of_a_group_become_one_message_and_others_stay_alone(
    hook: Callable[..., str], chosen: Settings, control: Control, sink: Sink
) -> None:
    hook()
    put_all(control, *(notice("hook", f"a{number}", grouping="rule") for number in range(30)))
    put_all(control, notice("hook", "b"), notice("hook", "c", grouping="other"))
    run(chosen)
    assert sorted(len(each.json["notices"]) for each in sink.received) == [1, 1, 30]
    (large,) = (each.json for each in sink.received if len(each.json["notices"]) == 30)
    assert large["title"] == "[CRITICAL] 30 alerts: 30 firing"
    assert set(states(control).values()) == {"sent"}


def test_a_message_keeps_its_content_over_tries_and_what_came_later_follows(
    hook: Callable[..., str], chosen: Settings, control: Control, sink: Sink
) -> None:
    def behave(number: int, path: str) -> str:
        if number == 0:
            put_all(control, notice("hook", "a1", 2, "resolved", grouping="g"))
            return "503"
        return "ok"

    sink.behave = behave
    put_all(control, notice(hook(), "a1", 1, grouping="g"))
    run(chosen)
    assert [each.key for each in sink.received] == ["a1:1:hook", "a1:1:hook", "a1:2:hook"]
    assert sink.received[0].body == sink.received[1].body
    assert sink.received[2].json["event"] == "resolved"


def test_a_notice_that_cannot_be_delivered_in_time_fails_with_the_last_error(
    hook: Callable[..., str], chosen: Settings, control: Control, sink: Sink, tmp_path: Path
) -> None:
    sink.behave = lambda number, path: "503"
    put_all(control, notice(hook()))
    Channels(control, chosen).save("hook", "webhook", {"url": "********", "deadline_seconds": 10})
    late = Notifier(chosen, control, now_ns=lambda: time.time_ns() + 11 * 10**9)
    assert late.run()["failed"] == 1
    found = Outbox(control).find("a1:1:hook")
    assert found is not None
    assert "not delivered within 10 s" in found.error
    assert "503" in found.error


def test_a_test_message_is_tried_once(hook: Callable[..., str], chosen: Settings, control: Control, sink: Sink) -> None:
    sink.behave = lambda number, path: "503"
    put_all(control, notice(hook(), event="test"))
    assert run(chosen)["failed"] == 1
    assert len(sink.received) == 1


def test_notices_for_a_channel_that_is_not_there_fail_and_for_one_switched_off_are_dropped(
    hook: Callable[..., str], chosen: Settings, control: Control, sink: Sink
) -> None:
    Channels(control, chosen).save("off", "webhook", {"url": sink.url}, enabled=False)
    put_all(control, notice("nowhere"), notice("off"))
    run(chosen)
    assert states(control) == {"a1:1:nowhere": "failed", "a1:1:off": "dropped"}
    assert sink.received == []


def test_a_private_target_is_refused_unless_it_is_allowed(
    hook: Callable[..., str], control: Control, sink: Sink, tmp_path: Path
) -> None:
    put_all(control, notice(hook()))
    run(settings.load({"MONITORING_DATA_DIR": str(tmp_path)}))
    found = Outbox(control).find("a1:1:hook")
    assert found is not None
    assert found.state == "failed"
    assert "loopback" in found.error
    assert sink.received == []


def test_a_channel_takes_no_more_than_its_rate(
    hook: Callable[..., str], chosen: Settings, control: Control, sink: Sink
) -> None:
    put_all(control, *(notice(hook(rate_per_minute=3), f"a{number}") for number in range(5)))
    assert run(chosen)["sent"] == 3
    due = Outbox(control).due_at()
    assert due is not None
    assert 10e9 < due - time.time_ns() <= 20e9


def test_a_job_that_must_end_leaves_what_is_under_way_to_the_next(
    hook: Callable[..., str], chosen: Settings, control: Control, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink.behave = lambda number, path: "hang" if number == 0 else "ok"
    put_all(control, notice(hook()))
    job = threading.Thread(target=Notifier(chosen, control).run)
    job.start()
    sink.wait(1)
    with monkeypatch.context() as patch:
        patch.setattr(stop, "requested", lambda: True)
        job.join(20)
    assert not job.is_alive()
    assert run(chosen)["sent"] == 1
    assert [each.key for each in sink.received] == ["a1:1:hook"] * 2


def test_two_jobs_at_once_deliver_each_message_once(
    hook: Callable[..., str], chosen: Settings, control: Control, sink: Sink, tmp_path: Path
) -> None:
    for name in ("a", "b", "c"):
        hook(name, f"/{name}", rate_per_minute=6000)
        put_all(control, *(notice(name, f"n{number}") for number in range(15)))
    jobs = [threading.Thread(target=run, args=(chosen,)) for _ in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(60)
    assert set(states(control).values()) == {"sent"}
    assert len(sink.received) == len({each.key for each in sink.received}) == 45


def test_a_delivery_that_never_ends_is_left_behind_and_tried_again(
    hook: Callable[..., str], chosen: Settings, control: Control, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.consumers.notify.FLIGHT_SECONDS", 0.3)
    sink.behave = lambda number, path: "hang" if number == 0 else "ok"
    put_all(control, notice(hook()))
    assert run(chosen)["sent"] == 1
    assert len(sink.received) > 1
    assert {each.key for each in sink.received} == {"a1:1:hook"}


def test_an_outage_of_ten_minutes_delays_and_loses_nothing(
    chosen: Settings, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.consumers.notify.LINGER_SECONDS", 0.0)  # the clock jumps instead
    ahead = [0]

    def now_ns() -> int:
        return time.time_ns() + ahead[0]

    with receiving() as box:
        mail = {"server": "127.0.0.1", "port": box.port, "from": "m@example.com", "to": ["a@example.com"]}
        Channels(control, chosen).save("mail", "email", mail)
        box.stop()
        began = now_ns()
        tries, more = 0, [notice("mail", "b", grouping="g"), notice("mail", "c")]
        put_all(control, *(notice("mail", f"a{number}", grouping="g") for number in range(3)))
        while now_ns() - began < 600e9:
            due = Outbox(control, now_ns=now_ns).due_at()
            assert due is not None
            ahead[0] += max(0, due - now_ns())
            tries += Notifier(chosen, control, now_ns=now_ns).run()["retried"]
            if tries >= 2:  # it goes on happening
                put_all(control, *more)
                more = []
        assert 10 <= tries <= 60
        assert box.mails == []
        box.start()
        while Outbox(control, now_ns=now_ns).due_at() is not None:
            ahead[0] += 120 * 10**9
            Notifier(chosen, control, now_ns=now_ns).run()
        assert len(box.mails) == 3
    assert Counter(states(control).values()) == {"sent": 5}


def test_a_mail_of_an_alert_refers_to_those_that_its_readers_have_had(chosen, control):
    with receiving() as box:
        config = {"server": "127.0.0.1", "port": box.port, "from": "mon@example.com", "to": ["ops@example.com"]}
        Channels(control, chosen).save("mail", "email", config)
        for number, event in enumerate(("firing", "acknowledged", "resolved"), 2):
            put_all(control, notice("mail", number=number, event=event), notice("other", number=number))
            Notifier(chosen, control).run()
        put_all(control, notice("mail", "a10"))
        Notifier(chosen, control).run()
    first, second, third, stranger = box.mails
    assert second["In-Reply-To"] == first["Message-ID"] and third["In-Reply-To"] == second["Message-ID"]
    assert third["References"].split() == [first["References"], first["Message-ID"], second["Message-ID"]]
    assert len(stranger["References"].split()) == 1
