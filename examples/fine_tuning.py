"""Fine-tune a tiny model and evaluate it, watched by monitoring: `python examples/fine_tuning.py`.

The model is a logistic regression over words that tells refunds from bugs in support tickets; it stands for a real
one, and so do the loss, the checkpoints and the evaluation. It needs no library but this one.
"""

from __future__ import annotations

import json
import math
import random
import tempfile
import time
from pathlib import Path

from monitoring import get_logger, llm
from monitoring.startup import start_monitoring_with_config, stop_monitoring

log = get_logger(__name__)

MODEL = "ticket-router-v2"
REFUND = ["refund", "money", "charged", "invoice", "twice", "card", "payment", "cancel", "order", "return", "price"]
BUG = ["crash", "error", "screen", "freezes", "login", "update", "page", "blank", "loading", "button", "slow"]
COMMON = ["hello", "please", "my", "the", "when", "i", "your", "app", "account", "thanks", "help", "today", "it", "is"]
BATCH = 32
STEPS = 300

Ticket = tuple[list[str], int]
Weights = dict[str, float]


def tickets(count: int, draw: random.Random) -> list[Ticket]:
    """Made-up tickets: words and whether it is about a refund; one of twelve words is of the other kind."""
    made = []
    for _ in range(count):
        refund = draw.random() < 0.5
        own, other = (REFUND, BUG) if refund else (BUG, REFUND)
        words = [draw.choice(draw.choices((COMMON, own, other), (7, 4, 1))[0]) for _ in range(12)]
        made.append((words, int(refund)))
    return made


def probability(weights: Weights, words: list[str]) -> float:
    """How sure the model is that this is about a refund."""
    return 1 / (1 + math.exp(-sum(weights.get(word, 0.0) for word in words)))


def train_step(weights: Weights, batch: list[Ticket], learning_rate: float) -> tuple[float, float]:
    """One step of gradient descent; the mean loss before it, and the length of the gradient."""
    loss = 0.0
    gradient: Weights = {}
    for words, label in batch:
        guess = probability(weights, words)
        loss -= math.log(max(guess if label else 1 - guess, 1e-12))
        for word in words:
            gradient[word] = gradient.get(word, 0.0) + (guess - label) / len(batch)
    for word, slope in gradient.items():
        weights[word] = weights.get(word, 0.0) - learning_rate * slope
    return loss / len(batch), math.hypot(*gradient.values())


def fine_tune(data: list[Ticket], draw: random.Random, folder: Path) -> Weights:
    """Train, and tell of each step."""
    weights: Weights = {}
    config = {"batch_size": BATCH, "optimizer": "sgd", "seed": 7}
    with llm.fine_tuning(
        MODEL, base_model="bag-of-words", dataset="tickets-2026", total_steps=STEPS, config=config
    ) as job:
        log.info("training on %d tickets", len(data))  # carries the run id, as every line in here
        for step in range(1, STEPS + 1):
            began = time.perf_counter()
            learning_rate = 0.5 * (1 - (step - 1) / STEPS)
            batch = draw.sample(data, BATCH)
            loss, length = train_step(weights, batch, learning_rate)
            tokens = sum(len(words) for words, _ in batch)
            job.step(
                step,
                loss=loss,
                learning_rate=learning_rate,
                grad_norm=length,
                epoch=step * BATCH / len(data),
                tokens=tokens,
                tokens_per_second=tokens / (time.perf_counter() - began),
            )
            if step % 100 == 0:
                path = folder / f"step-{step}.json"
                path.write_text(json.dumps(weights))
                job.checkpoint(path, loss=loss)
    return weights


def evaluate(weights: Weights, data: list[Ticket]) -> bool:
    """Try the model on tickets that it has not seen, with a cache for those that come again."""
    cache = llm.cache("predictions", capacity=1000)
    known: dict[str, float] = {}

    def ask(words: list[str]) -> float:
        with llm.call(MODEL, provider="self-hosted", operation="text_completion") as call:
            call.usage(input_tokens=len(words), output_tokens=1)
            return probability(weights, words)

    with llm.evaluation("ticket-routing", model=MODEL, dataset="tickets-held-out", at_least={"pass_rate": 0.8}) as run:
        for number, (words, label) in enumerate([*data, *data[:20]]):
            guess = cache.lookup(known, " ".join(sorted(words)), lambda words=words: ask(words))
            run.case(number, passed=(guess > 0.5) == bool(label))
        cache.size(entries=len(known))
    log.info("evaluation %s", run.outcome, **run.scores)
    return run.outcome == "passed"


def main() -> None:
    """Train, evaluate, and say whether the model is good enough."""
    start_monitoring_with_config(service="fine-tuning")
    llm.prices.use({"models": {"ticket-router-*": {"input": 0.05, "output": 0.2}}})  # what the machine costs us
    draw = random.Random(7)  # noqa: S311 - nothing secret is drawn
    with tempfile.TemporaryDirectory() as folder:
        weights = fine_tune(tickets(2000, draw), draw, Path(folder))
    print("good enough" if evaluate(weights, tickets(300, draw)) else "not good enough")
    stop_monitoring(timeout_seconds=2.0)


if __name__ == "__main__":
    main()
