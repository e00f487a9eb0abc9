"""An example of prices, so that costs show before anybody has written a table. Prices go stale: replace it.

List prices of the providers' own APIs as their pages gave them in June 2026, US dollars for a million tokens, without
batch or tier discounts, each for the model's name and its dated versions. Nothing else is guessed.
"""

from __future__ import annotations

from typing import Any

__all__ = ["BUILT_IN"]

BUILT_IN: dict[str, Any] = {
    "version": "2026-06 example",
    "currency": "USD",
    "models": {
        "gpt-4.1": {"input": 2.00, "output": 8.00, "cached_input": 0.50},
        "gpt-4.1-20*": {"input": 2.00, "output": 8.00, "cached_input": 0.50},
        "gpt-4.1-mini": {"input": 0.40, "output": 1.60, "cached_input": 0.10},
        "gpt-4.1-mini-20*": {"input": 0.40, "output": 1.60, "cached_input": 0.10},
        "gpt-4.1-nano": {"input": 0.10, "output": 0.40, "cached_input": 0.025},
        "gpt-4.1-nano-20*": {"input": 0.10, "output": 0.40, "cached_input": 0.025},
        "gpt-4o": {"input": 2.50, "output": 10.00, "cached_input": 1.25},
        "gpt-4o-20*": {"input": 2.50, "output": 10.00, "cached_input": 1.25},
        "gpt-4o-mini": {"input": 0.15, "output": 0.60, "cached_input": 0.075},
        "gpt-4o-mini-20*": {"input": 0.15, "output": 0.60, "cached_input": 0.075},
        "text-embedding-3-small": {"input": 0.02, "output": 0},
        "claude-opus-4-6": {"input": 5.00, "output": 25.00, "cached_input": 0.50, "cache_write": 6.25},
        "claude-opus-4-5*": {"input": 5.00, "output": 25.00, "cached_input": 0.50, "cache_write": 6.25},
        "claude-sonnet-4-6": {"input": 3.00, "output": 15.00, "cached_input": 0.30, "cache_write": 3.75},
        "claude-sonnet-4-5*": {"input": 3.00, "output": 15.00, "cached_input": 0.30, "cache_write": 3.75},
        "claude-haiku-4-5*": {"input": 1.00, "output": 5.00, "cached_input": 0.10, "cache_write": 1.25},
    },
}
