"""Costs come from a table that the user can replace, and nothing is guessed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.pipeline.errors import SettingsError
from monitoring.producers import llm, sdk
from monitoring.producers.llm.prices import MAX_BYTES, Price, PriceTable
from tests.producers.llm_story import Story, listening, standing

_TOKENS = st.integers(0, 10**9)
_DOLLARS = st.floats(0, 1000, allow_nan=False)


@pytest.fixture
def story() -> Iterator[Story]:
    with listening() as told:
        yield told
    llm.prices.use(None)


@pytest.fixture
def model() -> str:
    """A name of its own, for metrics are the process's."""
    return f"model-{uuid.uuid4().hex}"


def _table(**models: Any) -> PriceTable:
    return PriceTable.from_data({"models": models})


@settings(deadline=None)  # the machine may be busy
@given(st.builds(Price, _DOLLARS, _DOLLARS, _DOLLARS, _DOLLARS), _TOKENS, _TOKENS, _TOKENS, _TOKENS)
def test_a_cost_is_the_sum_of_its_parts(price: Price, plain: int, cached: int, written: int, output: int) -> None:
    parts = (
        price.cost(plain, 0),
        price.cost(cached, 0, cached_tokens=cached),
        price.cost(written, 0, cache_write_tokens=written),
        price.cost(0, output),
    )
    whole = price.cost(plain + cached + written, output, cached, written)
    assert whole == pytest.approx(sum(parts), rel=1e-12)
    assert parts == pytest.approx(
        (
            plain * price.input / 1e6,
            cached * price.cached_input / 1e6,
            written * price.cache_write / 1e6,
            output * price.output / 1e6,
        )
    )


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.tuples(_TOKENS, _TOKENS), max_size=20))
def test_the_cost_of_many_calls_is_that_of_their_tokens_together(calls: list[tuple[int, int]]) -> None:
    price = Price(input=0.4, output=1.6, cached_input=0.1, cache_write=0.4)
    together = price.cost(sum(given for given, _ in calls), sum(made for _, made in calls))
    assert together == pytest.approx(sum(price.cost(*call) for call in calls))


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("gpt-x", 1.0),
        ("GPT-X", 1.0),
        ("gpt-x-mini", 3.0),
        ("gpt-x-mini-2026", 3.0),
        ("gpt-x-2026", 2.0),
        ("gpt-xy", 2.0),
        ("gpt-y", None),
        ("my-gpt-x", None),
        ("", None),
        ("a[b]?", 5.0),
        ("ab", None),
    ],
)
def test_an_exact_name_wins_then_the_longest_pattern(model: str, price: float | None) -> None:
    names = {"gpt-x": 1, "gpt-x*": 2, "gpt-x-mini*": 3, "a[b]?": 5}
    found = _table(**{name: {"input": dollars, "output": 0} for name, dollars in names.items()}).find(model)
    assert (found.input if found else None) == price


def test_cached_input_costs_as_the_rest_where_no_price_is_given_for_it() -> None:
    found = _table(m={"input": 2, "output": 8}).find("m")
    assert found == Price(input=2.0, output=8.0, cached_input=2.0, cache_write=2.0)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ([], "prices: expected an object, not list"),
        ({}, "models: expected an object, not NoneType"),
        ({"models": {}, "modles": {}}, "modles is not known; did you mean models?"),
        ({"models": {}, "currency": "EUR"}, "currency is 'EUR': only USD is counted"),
        ({"models": {"m": 3}}, "models.m: expected an object, not int"),
        ({"models": {"m": {"input": 1}}}, "models.m.output is missing"),
        (
            {"models": {"m": {"input": 1, "output": 2, "outptu": 3}}},
            "models.m.outptu is not known; did you mean output?",
        ),
        ({"models": {"m": {"input": "1", "output": 2}}}, "models.m.input='1' is not a price"),
        ({"models": {"m": {"input": True, "output": 2}}}, "models.m.input=True is not a price"),
        ({"models": {"m": {"input": -1, "output": 2}}}, "models.m.input=-1 is not a price"),
        ({"models": {"m": {"input": float("inf"), "output": 2}}}, "models.m.input=inf is not a price"),
        ({"models": {1: {"input": 1, "output": 2}}}, "models: expected an object"),
    ],
)
def test_an_error_names_the_field(data: Any, complaint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        llm.prices.use(data)
    assert complaint in str(caught.value)


def test_the_built_in_table_has_a_date_and_prices_its_models(story: Story) -> None:
    table = llm.prices.current()
    assert "example" in table.version
    price = table.find("gpt-4.1-mini-2025-04-14")
    assert price is not None
    assert price == table.find("gpt-4.1-mini")
    assert price != table.find("gpt-4.1")
    assert table.find("gpt-4.1-turbo") is None


def test_a_file_replaces_the_table_and_may_be_given_up_again(story: Story, tmp_path: Path, model: str) -> None:
    file = tmp_path / "prices.json"
    file.write_bytes(orjson.dumps({"version": "ours", "models": {"model-*": {"input": 1000, "output": 0}}}))
    llm.prices.use(file)
    assert llm.prices.current().version == "ours"
    assert llm.prices.current().find("gpt-4.1") is None
    llm.record_call(model, seconds=1, input_tokens=500)
    assert standing("llm_cost_usd_total", model=model) == 0.5
    llm.prices.use(None)
    assert llm.prices.current().find("gpt-4.1") is not None


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "No such file"), (b"{", "unexpected end of data"), (b"[]", "expected an object"), (b"\xff", "utf-8")],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    file = tmp_path / "prices.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"prices\.json") as caught:
        llm.prices.use(str(file))
    assert complaint.lower() in str(caught.value).lower()


def test_a_file_that_is_no_table_by_its_size_is_not_read_on(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(SettingsError, match="larger than"):
        llm.prices.use(file)


def test_the_setting_names_the_file(story: Story, tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_bytes(orjson.dumps({"version": "from the setting", "models": {}}))
    environ = {"MONITORING_LLM_PRICES": str(file), "MONITORING_DATA_DIR": str(tmp_path)}
    sdk.start(environ, {"capture_logging": False, "collectors": "none"})
    try:
        assert llm.prices.current().version == "from the setting"
    finally:
        sdk.stop(0)
    assert "example" in llm.prices.current().version


def test_a_file_of_the_setting_that_cannot_be_used_is_told_and_then_nothing_has_a_price(
    story: Story, tmp_path: Path, model: str
) -> None:
    environ = {"MONITORING_LLM_PRICES": str(tmp_path / "absent.json"), "MONITORING_DATA_DIR": str(tmp_path)}
    started = sdk.start(environ, {"capture_logging": False, "collectors": "none"})
    try:
        llm.record_call("gpt-4.1", seconds=1, input_tokens=10)
        llm.record_call(model, seconds=1, input_tokens=10)
        assert started.trouble.counts["llm_value"] == 1
    finally:
        sdk.stop(0)
    assert standing("llm_cost_usd_total", model=model) in (None, 0)
    assert standing("llm_unpriced_requests_total", model=model) == 1


def test_a_model_without_a_price_has_no_cost_is_counted_and_told_once(story: Story, model: str) -> None:
    for _ in range(3):
        llm.record_call(model, seconds=1, input_tokens=10, output_tokens=5)
    assert standing("llm_cost_usd_total", model=model) in (None, 0)
    assert standing("llm_unpriced_requests_total", model=model) == 3
    assert model in story.one("price.unknown")["message"]
    assert all("cost_usd" not in event for event in story.of("call"))


def test_a_model_that_costs_nothing_is_not_unknown(story: Story, model: str) -> None:
    llm.prices.use({"models": {"model-*": {"input": 0, "output": 0}}})
    llm.record_call(model, seconds=1, input_tokens=10)
    assert story.one("call")["cost_usd"] == 0
    assert story.of("price.unknown") == []
