"""A service finds the bus where its settings say, in one order, and is told what to set where they say nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitoring.pipeline.bus.streams import StreamTransport
from monitoring.pipeline.errors import BusUnavailable, SettingsError
from monitoring.pipeline.publish.connect import publisher_from, transport_from
from monitoring.pipeline.publish.http import HttpTransport
from monitoring.pipeline.settings import Settings, load
from tests.pipeline.publish.support import Store, delta, event

NOBODY = "unix:///nonexistent/socket"


def settings(tmp_path: Path, **environment: str) -> Settings:
    return load({"MONITORING_DATA_DIR": str(tmp_path), **environment})


def test_the_bus_of_the_settings_comes_first(valkey: str, tmp_path: Path) -> None:
    Store(valkey, partitions=3)
    (tmp_path / "bus.url").write_text(NOBODY)
    way = transport_from(settings(tmp_path, MONITORING_BUS_URL=valkey, REDIS_URL=NOBODY, MONITORING_URL="http://h"))
    assert way.partitions("logs") == 3
    way.close()


def test_redis_url_is_used_where_an_instance_has_announced_itself(valkey: str, tmp_path: Path) -> None:
    Store(valkey, partitions=3)
    assert transport_from(settings(tmp_path, REDIS_URL=valkey)).partitions("logs") == 3


def test_redis_url_of_the_applications_own_cache_is_passed_over(valkey: str, tmp_path: Path) -> None:
    way = transport_from(
        settings(tmp_path, REDIS_URL=valkey, MONITORING_URL="http://127.0.0.1:1", MONITORING_API_KEY="k")
    )
    assert isinstance(way, HttpTransport)
    with pytest.raises(SettingsError, match="REDIS_URL is set, and no monitoring instance"):
        transport_from(settings(tmp_path, REDIS_URL=valkey))


def test_a_redis_url_that_does_not_answer_is_not_decided_yet(tmp_path: Path) -> None:
    with pytest.raises(BusUnavailable):
        transport_from(settings(tmp_path, REDIS_URL=NOBODY, MONITORING_URL="http://h", MONITORING_API_KEY="k"))


def test_the_server_of_monitoring_up_is_found_in_the_data_directory(valkey: str, tmp_path: Path) -> None:
    Store(valkey, partitions=3)
    (tmp_path / "bus.url").write_text(f"{valkey}\n")
    way = transport_from(settings(tmp_path, MONITORING_URL="http://h", MONITORING_API_KEY="k"))
    assert isinstance(way, StreamTransport) and way.partitions("logs") == 3


def test_an_api_needs_its_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="MONITORING_API_KEY"):
        transport_from(settings(tmp_path, MONITORING_URL="http://127.0.0.1:1"))


def test_without_anything_it_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"MONITORING_BUS_URL.*MONITORING_URL.*MONITORING_DATA_DIR"):
        transport_from(settings(tmp_path))


def test_a_url_that_cannot_be_is_an_error_of_the_settings(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be used"):
        transport_from(settings(tmp_path, MONITORING_BUS_URL="memcached://x"))


def test_the_publisher_of_the_settings_delivers(valkey: str, tmp_path: Path) -> None:
    store = Store(valkey)
    some = publisher_from(
        settings(
            tmp_path,
            MONITORING_BUS_URL=valkey,
            MONITORING_SERVICE="shop",
            MONITORING_SPOOL_DIR=str(tmp_path / "spool"),
            MONITORING_DURABILITY="required",
            MONITORING_FLUSH_INTERVAL="20ms",
        )
    )
    with store.running():
        some.emit(event(1))
        assert some.flush(20)
        some.close()
    assert store.timestamps() == [1]
    assert next(iter(store.reports().values()))["service"] == "shop"


def test_the_metrics_have_a_publisher_with_a_share_of_the_buffer(valkey: str, tmp_path: Path) -> None:
    store = Store(valkey, signal="metrics")
    some = publisher_from(
        settings(tmp_path, MONITORING_BUS_URL=valkey, MONITORING_BUFFER_EVENTS="400"), signal="metrics"
    )
    assert some._buffer.max_events == 100
    assert some.offer([delta(number) for number in range(100)])
    with store.running():
        assert some.flush(20)
        some.close()
    assert store.timestamps() == list(range(100))


@pytest.mark.parametrize("durability", ["spool", "required"])
def test_durability_needs_a_spool(tmp_path: Path, durability: str) -> None:
    with pytest.raises(SettingsError, match="MONITORING_SPOOL_DIR"):
        publisher_from(settings(tmp_path, MONITORING_DURABILITY=durability))
