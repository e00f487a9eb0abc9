"""The short form: one fault of each kind on the running product, and nothing lost, doubled, miscounted or missed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.campaign import Campaign
from tests.faults.kinds import quick

SLOWEST_SECONDS = 60.0
"""Far beyond the 15 s that a recovery may take: a busy machine must not fail the test, a lost partition must."""


@pytest.fixture
def campaign() -> Iterator[Campaign]:
    root = Path(tempfile.mkdtemp(prefix="faults-"))
    made = Campaign(root, seed=int(os.environ.get("FAULT_SEED", "1")), rate=300, say=print, kinds=quick)
    yield made
    made.product.close()
    made.product.unmount()
    shutil.rmtree(root)


@pytest.mark.faults
@pytest.mark.timeout(420)
def test_every_kind_of_fault_once_loses_and_doubles_nothing(campaign):
    kinds = quick(campaign.product)
    outcome = campaign.run(faults=len(kinds), events=1)
    assert outcome.sound, json.dumps(outcome.report, indent=2)
    assert outcome.report["acknowledged"] > 1000
    assert outcome.report["counted_acknowledged"] > 1000
    assert outcome.report["metric_segments"] > 1
    assert outcome.report["derived"] == outcome.report["stored"]
    assert outcome.report["rollups"] > 0
    assert outcome.report["alerts"] > 0
    assert set(outcome.recoveries) == {kind.name for kind in kinds}
    slowest = max(max(seconds) for seconds in outcome.recoveries.values())
    assert slowest < SLOWEST_SECONDS, outcome.recoveries
