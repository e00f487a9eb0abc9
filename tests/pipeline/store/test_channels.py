"""Channels: secrets are sealed at rest and never shown, the seed's environment makes two of them."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.pipeline import settings
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.errors import PermanentError, StoreCorrupt
from monitoring.pipeline.store import channels as module
from monitoring.pipeline.store.channels import Channels, ReadOnly
from monitoring.pipeline.store.control import Control
from monitoring.pipeline.store.outbox import Notice, Outbox, put
from monitoring.pipeline.store.secret_box import SecretBox

SEED = {
    "ENABLE_EMAIL_ALERTS": "true", "SMTP_SERVER": "smtp.gmail.com", "SMTP_PORT": "587",
    "SMTP_USERNAME": "alerts@company.com", "SMTP_PASSWORD": "app_password", "ALERT_FROM_EMAIL": "alerts@company.com",
    "ALERT_TO_EMAILS": "admin@company.com,ops@company.com", "ENABLE_SLACK_ALERTS": "true",
    "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T/B/x",
}  # fmt: skip
HOOK = {"url": "https://a.example/?t=sekret", "secret": "sekret", "headers": {"X-Key": "sekret"}}


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    with contextlib.closing(Control(tmp_path / "control.db")) as control:
        yield control


@pytest.fixture
def channels(control: Control) -> Channels:
    return Channels(control, settings.load({}))


def test_no_file_but_the_key_tells_a_secret_and_that_is_its_owners_alone(
    channels: Channels, control: Control, tmp_path: Path
) -> None:
    made = channels.save("hook", "webhook", HOOK, default=True)
    assert made.value("url", {}) == HOOK["url"]
    assert made.value("headers", {}) == HOOK["headers"]
    assert "sekret" not in str(made.describe()) + repr(made)
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600
    for path in tmp_path.iterdir():
        assert b"sekret" not in path.read_bytes(), path.name


def test_a_secret_that_comes_back_as_its_mask_stays(channels: Channels) -> None:
    shown = channels.save("hook", "webhook", HOOK).describe()["config"]
    again = channels.save("hook", "webhook", {**shown, "headers": {"X-Key": "********", "X-Team": "a"}})
    assert again.value("url", {}) == HOOK["url"]
    assert again.value("headers", {}) == {"X-Key": "sekret", "X-Team": "a"}
    with pytest.raises(PermanentError, match=r"^config\.url"):
        channels.save("other", "webhook", shown)


def test_a_secret_may_stand_in_the_environment_but_for_the_products_own(channels: Channels) -> None:
    made = channels.save("hook", "webhook", {**HOOK, "url": {"env": "HOOK_URL"}})
    assert made.describe()["config"]["url"] == {"env": "HOOK_URL"}
    assert made.value("url", {"HOOK_URL": "https://b.example/"}) == "https://b.example/"
    with pytest.raises(PermanentError, match="HOOK_URL is not set"):
        made.value("url", {})
    for name in ("MONITORING_BUS_URL", "REDIS_URL"):
        with pytest.raises(PermanentError, match="env"):
            channels.save("x", "webhook", {"url": {"env": name}})


def test_a_lost_key_or_a_swapped_row_is_told_and_nothing_is_sent(
    channels: Channels, control: Control, tmp_path: Path
) -> None:
    channels.save("a", "slack", {"url": "https://a.example/"})
    channels.save("b", "slack", {"url": "https://b.example/"})
    with control.transaction() as connection:
        connection.execute("UPDATE channel SET sealed = (SELECT sealed FROM channel WHERE name = 'b')")
    assert [bool(channel.problem) for channel in channels.all()] == [True, False]
    (tmp_path / "secret.key").unlink()
    assert all("restore it from a backup" in channel.problem for channel in channels.all())
    (tmp_path / "secret.key").write_text("00")
    with pytest.raises(StoreCorrupt):
        SecretBox(tmp_path).seal({}, "a")


def test_the_seeds_environment_makes_two_default_channels_that_cannot_be_changed(control: Control) -> None:
    channels = Channels(control, settings.load(SEED))
    mail, slack = channels.all()
    assert channels.default_names() == ["email", "slack"]
    assert mail.config["to"] == ["admin@company.com", "ops@company.com"]
    assert (mail.value("password", {}), mail.problem, slack.problem) == ("app_password", "", "")
    assert "app_password" not in str(mail.describe())
    assert "services" not in str(slack.describe())
    for change in (
        lambda: channels.save("email", "slack", {"url": "https://a.example"}),
        lambda: channels.remove("slack"),
    ):
        with pytest.raises(ReadOnly):
            change()


@pytest.mark.parametrize("missing", ["SMTP_SERVER", "ALERT_TO_EMAILS", "SLACK_WEBHOOK_URL"])
def test_what_the_environment_lacks_is_said_by_its_name(control: Control, missing: str) -> None:
    environment = {name: value for name, value in SEED.items() if name != missing}
    problems = [channel.problem for channel in Channels(control, settings.load(environment)).all() if channel.problem]
    assert len(problems) == 1
    assert problems[0].startswith(f"{missing}:")


def test_removing_a_channel_drops_what_waits_for_it(channels: Channels, control: Control) -> None:
    channels.save("a", "slack", {"url": "https://a.example/"})
    now = wall_ns()
    with control.transaction() as connection:
        put(connection, [Notice(key, "a", "firing", "", b"{}", now) for key in ("x", "y")], now)
    outbox = Outbox(control)
    outbox.claim(1, lambda name: 60)
    assert channels.remove("a") is not None
    assert channels.remove("a") is None
    assert [entry.state for key in ("x", "y") if (entry := outbox.find(key))] == ["dropped", "dropped"]
    assert outbox.due_at() is None


def test_there_are_only_so_many(channels: Channels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CHANNELS", 1)
    channels.save("a", "slack", {"url": "https://a.example/"})
    channels.save("a", "slack", {"url": "https://b.example/"})
    with pytest.raises(PermanentError, match="remove one"):
        channels.save("b", "slack", {"url": "https://a.example/"})


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/in", "http://localhost/", "https://10.0.0.8/x", "http://[::1]/", "http://169.254.169.254/"],
)
def test_a_channel_that_leads_to_a_private_address_says_so_when_it_is_made(control: Control, url: str) -> None:
    chosen = settings.load({"MONITORING_DATA_DIR": str(control.path.parent)})
    made = Channels(control, chosen).save("hook", "webhook", {"url": url})
    assert "MONITORING_ALLOW_PRIVATE_WEBHOOKS" in made.problem and "10.0.0.8" not in made.problem
    allowed = Channels(control, chosen.replace(allow_private_webhooks=True)).get("hook")
    assert allowed is not None and bool(allowed.problem) == ("169.254" in url)
    assert Channels(control, chosen).save("hook", "webhook", {"url": "https://hooks.example.com/in"}).problem == ""
    seeds = chosen.replace(enable_slack_alerts=True, slack_webhook_url=url)
    assert Channels(control, seeds).all()[0].problem
