"""What of an alert's log lines goes into a notice."""

from __future__ import annotations

import orjson

from monitoring.pipeline.alerts.alert import Alert
from monitoring.pipeline.alerts.notice import MOST_SAMPLES, body

LINE = {
    "id": "1-0-1",
    "timestamp": "2026-11-24T20:00:00Z",
    "level": "ERROR",
    "service": "trainer",
    "message": "loss is NaN" + "!" * 600,
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "attributes": {"run_id": "ft-17", "prompt": "what nobody should read in a mail"},
}


def test_a_notice_tells_the_trace_and_the_run_of_its_lines_and_no_other_attribute() -> None:
    alert = Alert(
        id="a1", rule="Loss", kind="logs", fingerprint="f", labels={}, state="active", severity="critical", value=3.0,
        threshold=1.0, operator=">=", started=1, updated=1,
    )  # fmt: skip
    samples = orjson.loads(body(alert, "firing", {}, [LINE] * (MOST_SAMPLES + 1)))["samples"]
    assert len(samples) == MOST_SAMPLES
    assert samples[0]["trace_id"] == LINE["trace_id"]
    assert samples[0]["attributes"] == {"run_id": "ft-17"}
    assert len(samples[0]["message"]) == 500
