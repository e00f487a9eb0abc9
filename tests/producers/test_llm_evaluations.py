"""An evaluation tells scores and whether they are good enough."""

from __future__ import annotations

import math
import os
import signal
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from monitoring.producers import llm
from monitoring.producers.logger import filter_below
from tests.producers.llm_story import Hands, Story, listening, sent, standing


@pytest.fixture
def story() -> Iterator[Story]:
    with listening() as told:
        yield told


@pytest.fixture
def suite() -> str:
    """A name of its own, for metrics are the process's."""
    return f"suite-{uuid.uuid4().hex}"


def test_the_story_of_an_evaluation(story: Story, suite: str) -> None:
    clock = Hands()
    evaluation = llm.evaluation(
        suite, model="bot", dataset="tickets", at_least={"accuracy": 0.5}, config={"shots": 5}, clock=clock
    )
    with evaluation:
        clock.at += 2
        evaluation.case("q1", passed=True, score=1.0, category="algebra")
        evaluation.case("q2", passed=False, score=0.5)
        evaluation.case("q3")
        evaluation.score(accuracy=0.5)
    assert story.names == [f"llm.evaluation.{name}" for name in ("started", "case", "case", "case", "ended")]
    started, case, _, unjudged, ended = story.events
    about = {"suite": suite, "model": "bot", "dataset": "tickets", "run_id": evaluation.run_id}
    assert started.items() >= {**about, "at_least": {"accuracy": 0.5}, "config": {"shots": 5}}.items()
    assert case.items() >= {**about, "case": "q1", "passed": True, "category": "algebra", "level": "DEBUG"}.items()
    assert "passed" not in unjudged
    assert ended.items() >= {**about, "outcome": "passed", "duration_seconds": 2.0, "level": "INFO"}.items()
    assert ended["scores"] == {"pass_rate": 0.5, "mean_score": 0.75, "accuracy": 0.5}
    assert (ended["cases"], ended["cases_passed"]) == (3, 1)
    assert standing("llm_evaluations_total", suite=suite, outcome="passed") == 1
    assert standing("llm_evaluations_running") == 0
    for result in ("passed", "failed", "unjudged"):
        assert standing("llm_evaluation_cases_total", suite=suite, result=result) == 1


def test_scores_are_sent_once_for_each_evaluation(story: Story, suite: str) -> None:
    labels = {"suite": suite, "dataset": "d", "model": "bot", "metric": "accuracy"}
    for accuracy in (0.5, 0.75):
        llm.evaluation(suite, model="bot", dataset="d").start().finish(accuracy=accuracy, f1=math.nan)
    assert sent("llm_evaluation_score", **labels) == [0.75]
    assert sent("llm_evaluation_score", **labels) == []
    assert standing("llm_evaluation_score", **labels) is None
    assert [event["scores"] for event in story.of("evaluation.ended")] == [
        {"accuracy": accuracy, "f1": "NaN"} for accuracy in (0.5, 0.75)
    ]


@pytest.mark.parametrize(
    ("at_least", "at_most", "scores", "missed"),
    [
        ({"accuracy": 0.7}, {}, {"accuracy": 0.7}, []),
        ({"accuracy": 0.7}, {}, {"accuracy": 0.69}, ["accuracy is 0.69, not >= 0.7"]),
        ({}, {"toxicity": 0.1}, {"toxicity": 0.1}, []),
        ({}, {"toxicity": 0.1}, {"toxicity": 0.2}, ["toxicity is 0.2, not <= 0.1"]),
        ({"accuracy": 0.7}, {}, {}, ["accuracy is nan, not >= 0.7"]),
        ({"accuracy": 0.7}, {}, {"accuracy": math.nan}, ["accuracy is nan, not >= 0.7"]),
        ({}, {"perplexity": 9}, {"perplexity": math.nan}, ["perplexity is nan, not <= 9"]),
        ({"a": 1, "b": 1}, {"c": 1}, {"a": 2, "b": 0, "c": 2}, ["b is 0, not >= 1", "c is 2, not <= 1"]),
    ],
)
def test_thresholds_decide_and_a_missing_or_nan_score_meets_none(
    story: Story,
    suite: str,
    at_least: dict[str, float],
    at_most: dict[str, float],
    scores: dict[str, float],
    missed: list[str],
) -> None:
    with llm.evaluation(suite, model="bot", at_least=at_least, at_most=at_most) as evaluation:
        evaluation.score(**scores)
    ended = story.one("evaluation.ended")
    assert ended.get("missed", []) == missed
    assert (ended["outcome"], ended["level"]) == (("failed", "WARNING") if missed else ("passed", "INFO"))
    assert evaluation.outcome == ended["outcome"]


@pytest.mark.parametrize(("passed", "outcome"), [(None, "scored"), (True, "passed"), (False, "failed")])
def test_without_thresholds_the_verdict_is_told_or_there_is_none(
    story: Story, suite: str, passed: bool | None, outcome: str
) -> None:
    llm.evaluation(suite, model="bot").start().finish(passed=passed, accuracy=0.1)
    ended = story.one("evaluation.ended")
    assert (ended["outcome"], ended["scores"]) == (outcome, {"accuracy": 0.1})


def test_a_verdict_that_is_told_overrules_the_thresholds(story: Story, suite: str) -> None:
    with llm.evaluation(suite, model="bot", at_least={"accuracy": 1}) as evaluation:
        evaluation.finish(passed=True, accuracy=0.5)
    ended = story.one("evaluation.ended")
    assert (ended["outcome"], ended["missed"]) == ("passed", ["accuracy is 0.5, not >= 1"])


def test_one_that_raises_is_an_error_and_not_a_verdict(story: Story, suite: str) -> None:
    with pytest.raises(KeyError), llm.evaluation(suite, model="bot", at_least={"accuracy": 0}) as evaluation:
        evaluation.score(accuracy=1)
        raise KeyError("answers")
    ended = story.one("evaluation.ended")
    assert (ended["outcome"], ended["level"], ended["exception"]["type"]) == ("error", "ERROR", "KeyError")
    assert standing("llm_evaluations_total", suite=suite, outcome="error") == 1


def test_one_that_is_stopped_by_hand_is_cancelled(story: Story, suite: str) -> None:
    with pytest.raises(KeyboardInterrupt), llm.evaluation(suite, model="bot"):
        raise KeyboardInterrupt
    assert story.one("evaluation.ended")["outcome"] == "cancelled"


def test_cases_that_many_threads_report_are_all_counted(story: Story, suite: str) -> None:
    filter_below(9)
    with llm.evaluation(suite, model="bot") as evaluation:

        def work() -> None:
            for number in range(500):
                evaluation.case(number, passed=number % 2 == 0, score=1)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    ended = story.one("evaluation.ended")
    assert (ended["cases"], ended["cases_passed"], ended["scores"]["mean_score"]) == (4000, 2000, 1.0)
    assert len(story.events) == 2  # a case is an event at DEBUG only


def test_a_child_that_is_forked_while_a_case_is_counted_does_not_wait_for_ever(story: Story, suite: str) -> None:
    evaluation = llm.evaluation(suite, model="bot").start()
    with evaluation._cases._lock:  # as another thread would hold it
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            evaluation.case(1, passed=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    evaluation.finish()
    assert "cases" not in story.one("evaluation.ended")


def test_thresholds_that_are_none_are_told_and_decide_nothing(story: Story, suite: str) -> None:
    odd: Any = ["accuracy", 0.7]
    words: Any = {"toxicity": "low"}
    llm.evaluation(suite, model="bot", at_least=odd, at_most=words).start().finish(accuracy=0)
    assert story.one("evaluation.ended")["outcome"] == "scored"
    assert story.trouble.counts == {"llm_value": 2}


def test_nothing_of_it_raises_whatever_it_is_given(story: Story, suite: str) -> None:
    odd: Any = object()
    with llm.evaluation(odd, model=odd, dataset=odd, at_least=odd, at_most={"x": odd}, config=odd) as evaluation:
        evaluation.case(odd, passed=odd, score=odd)
        evaluation.score(accuracy=odd)
        evaluation.finish(passed=odd, f1=odd)
    evaluation.case(1)
    evaluation.score(accuracy=1)
    assert story.one("evaluation.ended")["outcome"] == "passed"
    assert story.trouble.counts.keys() <= {"llm_value", "internal"}
