"""Monitoring of an LLM platform: fine-tuning jobs, evaluations, caches and calls of models.

    from monitoring import llm

    with llm.fine_tuning("support-bot-v3", base_model="llama-3-8b", total_steps=1000) as job:
        job.step(10, loss=1.93, learning_rate=2e-5)

Events and metrics are described in `docs/llm.md`. Nothing here raises into the application or waits for anything.
"""

from __future__ import annotations

from monitoring.producers.llm import prices
from monitoring.producers.llm.caches import Cache
from monitoring.producers.llm.calls import Call, record_call, sample_calls
from monitoring.producers.llm.evaluations import Evaluation
from monitoring.producers.llm.finetuning import FineTuning
from monitoring.producers.llm.runs import new_run_id

__all__ = [
    "Cache",
    "Call",
    "Evaluation",
    "FineTuning",
    "cache",
    "call",
    "evaluation",
    "fine_tuning",
    "new_run_id",
    "prices",
    "record_call",
    "sample_calls",
]

fine_tuning = FineTuning
evaluation = Evaluation
cache = Cache
call = Call
