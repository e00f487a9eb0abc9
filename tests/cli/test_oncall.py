"""Who is on call for the demo: takes up what is the demo's, when it has been active for a while, and nothing else."""

from __future__ import annotations

import contextlib
import time

import pytest

from monitoring.cli.oncall import ACTOR, OnCall
from monitoring.pipeline.settings import load
from monitoring.pipeline.store.alerts import Alerts
from monitoring.pipeline.store.control import FILE_NAME, Control
from monitoring.producers.demo.machine import HOST
from tests.alarm import an_alert
from tests.instance import Instance


def looked(environment: dict[str, str], after_seconds: float) -> list[str]:
    """What is told by a look that comes so much later."""
    said: list[str] = []
    OnCall(load(environment), said.append, clock=lambda: time.time() + after_seconds).look()
    return said


def states(instance: Instance) -> dict[str, tuple[str, str]]:
    with contextlib.closing(Control(instance.data / FILE_NAME)) as control:
        return {each.id: (each.state, each.acknowledged_by) for each in Alerts(control).all()}


@pytest.mark.parametrize("way", ["here", "over HTTP"])
def test_an_alert_of_the_demo_is_acknowledged_after_a_while_and_one_of_others_is_not(
    instance: Instance, remote: dict[str, str], way: str
) -> None:
    environment = {"MONITORING_DATA_DIR": str(instance.data)} if way == "here" else remote
    mine, _ = an_alert(instance.data / FILE_NAME, name="Low disk space", host=HOST)
    other, _ = an_alert(instance.data / FILE_NAME, name="Slow responses", host="web-1")
    looked(environment, 1.0)
    assert {state for state, _ in states(instance).values()} == {"active"}
    assert looked(environment, 60.0) == []
    found = states(instance)
    assert found[other][0] == "active"
    assert found[mine][0] == "acknowledged"
    assert found[mine][1].startswith(ACTOR if way == "here" else "key:admin")


def test_what_a_key_may_not_do_is_told_once_and_a_bus_alone_is_no_trouble(
    instance: Instance, remote: dict[str, str]
) -> None:
    assert len(looked({**remote, "MONITORING_API_KEY": instance.keys["ingest"]}, 60.0)) == 1
    assert looked({"MONITORING_DATA_DIR": str(instance.data / "none")}, 60.0) == []
