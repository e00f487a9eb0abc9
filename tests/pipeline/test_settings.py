"""Settings: one table, unknown names fail with the nearest, secrets stay hidden."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from monitoring.pipeline.errors import SettingsError
from monitoring.pipeline.settings import TABLE, load, mask_url, unknown_names


def test_an_unknown_name_fails_and_names_its_nearest_neighbour():
    with pytest.raises(SettingsError, match="did you mean MONITORING_DATA_DIR"):
        load({"MONITORING_DATA_DIRR": "x"})
    assert unknown_names({"MONITORING_QQQ": "1", "OTHER": "1"}) == [("MONITORING_QQQ", "")]
    problems: list[SettingsError] = []
    load({"MONITORING_DATA_DIRR": "x", "MONITORING_PORT": "x"}, on_problem=problems.append)
    assert len(problems) == 2


def test_what_kubernetes_injects_for_a_service_of_our_name_is_ignored():
    chosen = load(
        {
            "MONITORING_PORT": "tcp://10.0.0.1:8321",
            "MONITORING_SERVICE_HOST": "10.0.0.1",
            "MONITORING_SERVICE_PORT": "8321",
            "MONITORING_PORT_8321_TCP_ADDR": "10.0.0.1",
        }
    )
    assert (chosen.port, chosen.source("port")) == (8321, "default")


def test_redis_url_names_the_bus_unless_our_own_name_does():
    assert load({"REDIS_URL": "redis://a"}).source("bus_url") == "REDIS_URL"
    both = load({"REDIS_URL": "redis://a", "MONITORING_BUS_URL": "redis://b"})
    assert (both.text("bus_url"), both.source("bus_url")) == ("redis://b", "MONITORING_BUS_URL")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("MONITORING_BUS_MEMORY", "64mb", 64 << 20), ("MONITORING_RETENTION_AGE", "7d", 7 * 86_400.0),
     ("MONITORING_FLUSH_INTERVAL", "250ms", 0.25), ("MONITORING_DRAIN_SLICE", "15", 15.0),
     ("LOG_LEVEL", "debug", "DEBUG"),
     ("MONITORING_DURABILITY", "Required", "required"), ("MONITORING_PARTITIONS", " 4 ", 4)],
)  # fmt: skip
def test_values_are_read_with_their_units(name, text, value):
    chosen = load({name: text})
    assert getattr(chosen, name.removeprefix("MONITORING_").lower()) == value


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [("MONITORING_PARTITIONS", "two", "whole number"), ("MONITORING_PARTITIONS", "0", "least is 1"),
     ("MONITORING_DRAIN_SLICE", "5 parsecs", "30s"), ("MONITORING_BUS_MEMORY", "much", "512mb"),
     ("MONITORING_BUS_MEMORY", "1", "is 16777216 bytes"),
     ("MONITORING_RETENTION_SERVICES", "staging", "staging=3d"), ("MONITORING_RETENTION_SERVICES", "a=0", "above 0"),
     ("MONITORING_DURABILITY", "maybe", "memory, spool, required")],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_refused_with_what_would_be(name, text, reason):
    with pytest.raises(SettingsError, match=re.escape(reason)) as caught:
        load({name: text})
    assert name in str(caught.value)


def test_ages_are_read_by_name():
    chosen = load({"MONITORING_RETENTION_SERVICES": " staging=3d, a=b=90s,"})
    assert chosen.ages("retention_services") == {"staging": 3 * 86_400.0, "a=b": 90.0}
    assert load({}).ages("retention_services") == {}


def test_secrets_are_masked_wherever_settings_are_shown():
    environment = {"REDIS_URL": "rediss://user:hunter2@host:1/0?x=hunter2", "MONITORING_API_KEY": "hunter2"}
    shown = {row.name: text for row, text, _ in load(environment).rows()}
    assert "hunter2" not in str(shown)
    assert shown["MONITORING_BUS_URL"].startswith("rediss://user:***")
    assert mask_url("redis://host/0") == "redis://host/0"


def test_the_data_directory_is_absolute_and_a_home_is_understood(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load({"MONITORING_DATA_DIR": "~/d"}).data == tmp_path / "d"
    assert load({}).data.is_absolute()


def test_every_setting_says_its_reason_and_unit():
    for row in TABLE:
        assert len(row.reason) > 10, row.name
        assert row.unit or row.kind in ("choice", "flag"), row.name
    assert len({row.key for row in TABLE}) == len(TABLE)


def test_a_copy_takes_changes_and_refuses_unknown_ones():
    chosen = load({}).replace(port=1)
    assert (chosen.whole("port"), chosen.source("port")) == (1, "argument")
    with pytest.raises(SettingsError):
        chosen.replace(prot=1)
    with pytest.raises(AttributeError):
        _ = chosen.prot
    assert chosen.path("spool_dir") is None
    assert chosen.replace(spool_dir="/tmp/x").path("spool_dir") == Path("/tmp/x")


@pytest.mark.parametrize(
    "text",
    ["monitoring.example.org", "ftp://x", "https://", "https://x:port", "https://[x", "https://u:p@x", "https://x/?a=1",
     "https://x/#a", "https://x y"],
)  # fmt: skip
def test_where_people_reach_the_dashboard_is_an_address(text):
    with pytest.raises(SettingsError, match=r"MONITORING_PUBLIC_URL=.* expected an address"):
        load({"MONITORING_PUBLIC_URL": text})
    assert load({"MONITORING_PUBLIC_URL": "https://x:8/y/"}).text("public_url") == "https://x:8/y/"
