"""What may name a metric or a label is Prometheus' to say, and what a label says is bounded and redacted."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.producers.labels import (
    MAX_LABELS,
    MAX_VALUE,
    OTHER,
    LabelsInvalid,
    check_label_names,
    exposed_names,
    label_texts,
    labels_text,
    metric_name,
    prose,
    redacted,
    relabelled,
)


@pytest.mark.parametrize(
    ("name", "kind", "base"),
    [
        ("shop_orders_total", "counter", "shop_orders"),
        ("shop_orders", "counter", "shop_orders"),
        ("shop_orders_total", "gauge", "shop_orders_total"),
        ("http.server.request.duration", "histogram", "http_server_request_duration"),
        ("my-app/queue", "gauge", "my_app_queue"),
        ("job:errors:rate5m", "gauge", "job:errors:rate5m"),
        ("_x1", "gauge", "_x1"),
    ],
)
def test_names_become_prometheus_base_names(name: str, kind: Any, base: str) -> None:
    assert metric_name(name, kind) == base


@pytest.mark.parametrize("name", ["", "_total", "1x", "a b", "größe", "x" * 201, "a\n", 7])
def test_what_cannot_name_a_metric_is_said(name: Any) -> None:
    with pytest.raises(ValueError, match="cannot name a metric"):
        metric_name(name, "counter")


@given(st.text(max_size=30), st.sampled_from(["counter", "gauge", "histogram"]))
def test_whatever_is_accepted_is_a_name_that_prometheus_accepts(name: str, kind: Any) -> None:
    try:
        base = metric_name(name, kind)
    except ValueError:
        return
    assert all(re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", exposed) for exposed in exposed_names(base, kind))


@pytest.mark.parametrize(
    ("names", "kind"),
    [(("le",), "histogram"), (("__x",), "gauge"), (("a-b",), "gauge"), (("",), "gauge"), (("a", "a"), "gauge"),
     ("method", "gauge"), (tuple(f"l{n}" for n in range(MAX_LABELS + 1)), "gauge"), ((7,), "gauge")],
)  # fmt: skip
def test_label_names_that_cannot_be_are_said_at_definition(names: Any, kind: Any) -> None:
    with pytest.raises(ValueError, match="label"):
        check_label_names(names, kind)


def test_declared_labels_are_all_there_and_no_others() -> None:
    assert label_texts({"b": 2, "a": None}, ("a", "b"), "gauge") == {"b": "2", "a": "None"}
    for labels in ({}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 2}):
        with pytest.raises(LabelsInvalid):
            label_texts(labels, ("a", "b"), "gauge")


class _Mute:
    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "labels", [{"größe": 1}, {"__x": 1}, {"le": 1}, {"x": _Mute()}, {f"l{n}": n for n in range(MAX_LABELS + 1)}]
)
def test_labels_that_cannot_be_are_told_by_one_error(labels: dict[str, object]) -> None:
    with pytest.raises(LabelsInvalid):
        label_texts(labels, (), "histogram")


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.text(st.characters(codec=None), max_size=400)))
def test_equal_labels_have_equal_texts_within_bounds(labels: dict[str, str]) -> None:
    text = labels_text(labels)
    assert text == labels_text(dict(reversed(labels.items())))
    read = orjson.loads(text)
    assert list(read) == sorted(name for name, value in labels.items() if value), "an empty value is none"
    assert all(0 < len(value) <= MAX_VALUE for value in read.values())
    assert relabelled(text, str) == text


def test_values_are_redacted_before_they_are_cut() -> None:
    def hook(value: str) -> str:
        return re.sub("secret-[0-9]{10}", "[REDACTED]", value)

    text = labels_text(redacted({"x": "y" * (MAX_VALUE - 8) + "secret-0123456789"}, hook))
    assert "secret" not in text and "[REDACT" in text


def test_what_cannot_be_redacted_does_not_leave() -> None:
    def hook(value: str) -> str:
        raise ZeroDivisionError

    with pytest.raises(LabelsInvalid):
        redacted({"x": "y"}, hook)
    assert orjson.loads(relabelled('{"x":"y"}', hook)) == {"x": OTHER}


def test_prose_is_bounded_and_fit_for_the_wire() -> None:
    assert prose("a\ud800" * 1000) == "a?" * 500
