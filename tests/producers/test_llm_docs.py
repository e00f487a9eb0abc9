"""`docs/llm.md` describes every event, every attribute and every metric."""

from __future__ import annotations

import math
import re
from pathlib import Path

import orjson
import pytest

from monitoring.producers import llm
from monitoring.producers.instruments import Histogram
from monitoring.producers.llm import families
from monitoring.producers.llm.prices import PriceTable
from tests.producers.llm_story import Story, listening

PAGE = (Path(__file__).parents[2] / "docs" / "llm.md").read_text()


def _told() -> Story:
    """All that can happen."""
    with listening() as story:
        with llm.fine_tuning("docs", base_model="b", dataset="d", total_steps=2, config={"rank": 8}) as job:
            job.step(1, loss=math.nan, tokens=5)
            job.checkpoint("s3://somewhere")
        llm.fine_tuning("docs").start().finish("failed", error="diverged")
        with llm.evaluation(
            "docs", model="docs", dataset="d", at_least={"x": 1}, at_most={"y": 1}, config={"shots": 5}
        ) as evaluation:
            evaluation.case("c", passed=True, score=1.0)
        with pytest.raises(KeyboardInterrupt), llm.evaluation("docs", model="docs"):
            raise KeyboardInterrupt
        llm.record_call(
            "docs-unpriced",
            seconds=1,
            provider="p",
            input_tokens=10,
            output_tokens=1,
            cached_tokens=1,
            cache_write_tokens=1,
            time_to_first_token_seconds=0.5,
            response_model="r",
            response_id="i",
            finish_reason="stop",
            error=ValueError("x"),
        )
        llm.record_call("gpt-4.1", seconds=1, input_tokens=10)
    return story


def test_every_event_and_attribute_is_documented_and_no_other() -> None:
    rows = dict(re.findall(r"^\| `(llm\.[a-z_.]+)` \|(.*)\|$", PAGE, re.MULTILINE))
    told = _told().events
    assert {event["event.name"] for event in told} == rows.keys()
    conventions = set(re.findall(r"`(gen_ai\.[a-z_.]+)`", PAGE))
    for event in told:
        columns = {"event.name", "level", "message", "logger", "exception"}
        documented = set(re.findall(r"`([\w.]+)`", rows[event["event.name"]].rpartition("|")[2])) | conventions
        assert event.keys() - columns <= documented, event["event.name"]
    for name, row in rows.items():
        named = set(re.findall(r"`([\w.]+)`", row.rpartition("|")[2])) - {"run_id"}
        seen = {key for event in told if event["event.name"] == name for key in event}
        assert named <= seen, name


@pytest.mark.parametrize("family", families.ALL, ids=lambda family: str(family.__name__))
def test_every_metric_is_documented(family) -> None:
    meaning = family().meaning
    name = f"{meaning.name}_total" if meaning.kind == "counter" else meaning.name
    kind = f"gauge, {meaning.across}" if meaning.kind == "gauge" else meaning.kind
    labels = ", ".join(f"`{label}`" for label in meaning.names)
    assert f"| `{name}` | {kind} | {labels}{' ' if labels else ''}| {meaning.help} |" in PAGE


def test_no_other_metric_is_documented() -> None:
    known = set()
    for family in families.ALL:
        meaning = family().meaning
        known |= {meaning.name, f"{meaning.name}_total"} if meaning.kind == "counter" else {meaning.name}
        known |= {f"{meaning.name}_bucket"} if isinstance(family(), Histogram) else set()
    assert set(re.findall(r"\bllm_[a-z_]+", PAGE)) <= known


def test_the_price_table_that_is_shown_can_be_used() -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    table = PriceTable.from_data(orjson.loads(shown))
    price = table.find("support-bot-v3")
    assert price is not None
    assert price.input == 0
