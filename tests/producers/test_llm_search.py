"""The searches that `docs/llm.md` names find what they say, in a real instance."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from monitoring.producers import llm, sdk
from tests.instance import Instance


def test_runs_are_found_by_what_happened_to_them(valkey: str, tmp_path: Path) -> None:
    instance = Instance(tmp_path, valkey)
    sdk.start({"MONITORING_DATA_DIR": str(tmp_path)}, {"bus_url": valkey, "collectors": "none", "console": "off"})
    try:
        with pytest.raises(MemoryError), llm.fine_tuning("bot", total_steps=10) as job:
            job.step(1, loss=9.5, learning_rate=1e-4)
            job.step(2, loss=math.nan)
            llm.record_call("gpt-4.1", seconds=2, input_tokens=1000, output_tokens=10, provider="openai")
            raise MemoryError("CUDA out of memory")
        with llm.evaluation("mmlu-mini", model="bot", at_least={"accuracy": 0.7}) as evaluation:
            evaluation.score(accuracy=0.6)
        sdk.stop(10)
        expected = {
            f"run_id:{job.run_id}": 6,
            f"event.name:llm.fine_tuning.step run_id:{job.run_id}": 2,
            "event.name:llm.fine_tuning.ended outcome:failed": 1,
            "event.name:llm.fine_tuning.nonfinite": 1,
            "metrics.loss:>5": 1,
            "metrics.loss:NaN": 2,
            "event.name:llm.evaluation.ended suite:mmlu-mini scores.accuracy:<0.7": 1,
            "gen_ai.provider.name:openai gen_ai.usage.input_tokens:>500 cost_usd:>0": 1,
            f'exception:"out of memory" {job.run_id}': 1,
        }
        with instance.draining():
            instance.messages(8)  # all that was told
        found = {query: len(instance.messages(count, query)) for query, count in expected.items()}
        assert found == expected
    finally:
        sdk.stop(0)
        instance.close()
