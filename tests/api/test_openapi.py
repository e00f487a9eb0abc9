"""OpenAPI: it describes what is served, what is served is as it describes, and no input that it allows is a 500."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import Case, SerializationContext
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok

from monitoring.api.app import ROUTES
from monitoring.api.openapi import describe
from monitoring.api.params import Fields
from monitoring.api.shapes import SHAPES
from monitoring.pipeline.store.control import FILE_NAME
from tests.alarm import an_alert
from tests.api.test_docs import sections
from tests.api.test_routes import MATRIX
from tests.instance import Instance

EXAMPLES = int(os.environ.get("MONITORING_TEST_API_EXAMPLES", "2"))
"""Requests an operation; a thousand are the long form."""
JSON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "array": (list,),
    "object": (dict,), "null": (type(None),),
}  # fmt: skip


@schemathesis.serializer("application/x-protobuf")
def serialized(context: SerializationContext, value: Any) -> bytes:
    """No message of any protocol: what such a body is refused for is what this asks."""
    return value if isinstance(value, bytes) else repr(value).encode(errors="replace")


def operations() -> dict[tuple[str, str], dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = describe(ROUTES)["paths"]
    return {(method.upper(), path): facts for path, methods in paths.items() for method, facts in methods.items()}


def test_the_description_knows_the_same_addresses_as_the_routes_and_the_documentation() -> None:
    told = {(method, re.sub(r"{(\w+)}", r"<\1>", path)) for method, path in operations()}
    assert told == {(route.method, route.path) for route in ROUTES}
    assert told == {(section.method, section.path) for section in sections()}


def test_the_description_names_the_parameters_and_the_role_of_each_route() -> None:
    for route in ROUTES:
        facts = operations()[route.method, re.sub(r"<(\w+)>", r"{\1}", route.path)]
        assert [each["name"] for each in facts["parameters"] if each["in"] == "query"] == list(route.params)
        assert facts.get("x-role") == route.role
        assert facts["summary"]
        assert ("requestBody" in facts) == (route.body is not None)
        if isinstance(route.body, Fields):
            schema = facts["requestBody"]["content"]["application/json"]["schema"]
            assert list(schema["properties"]) == list(route.body)


def things(instance: Instance) -> Iterator[tuple[str, str]]:
    """What the matrix' addresses name and an empty instance has not, by what they call it."""
    alert, silence = an_alert(instance.data / FILE_NAME)
    with instance.draining():
        instance.post(b'{"message":"x","service":"s"}\n{')
        instance.messages(1)
    yield "/logs/0000000000000000-0-1", f"/logs/{instance.get('/api/v1/logs')['events'][0]['id']}"
    yield "/alerts/none", f"/alerts/{alert}"
    yield "/silences/none", f"/silences/{silence}"
    yield "/dead-letters/0-1-1", f"/dead-letters/{instance.get('/api/v1/dead-letters')['dead_letters'][0]['id']}"


def made_again(instance: Instance) -> None:
    """What the matrix' addresses name and can be made by that name."""
    rule = {"name": "none", "kind": "logs", "query": "x", "threshold": 1}
    instance.call("PUT", "/api/v1/searches/nothing", json={"query": "x"})
    instance.call("POST", "/api/v1/rules", json=rule)
    window = {"matchers": ["rule=x"], "start": "02:00", "duration": "1h"}
    instance.call("PUT", "/api/v1/maintenance-windows/none", json=window)
    channel = {"kind": "slack", "config": {"url": "https://hooks.example/x"}}
    instance.call("PUT", "/api/v1/channels/nothing", json=channel)
    instance.call("PUT", "/api/v1/derived-metrics/none", json={"kind": "counter", "query": "x"})


NOT_SEEN = {
    ("GET", "/login"),  # needs a link, as a session needs a cookie: test_session.py
    ("POST", "/api/v1/session"),
    ("POST", "/api/v1/channels/<name>/test"),  # waits for a worker
    ("POST", "/api/v1/dead-letters/<letter_id>/replay"),  # what was no event is none now either
    ("DELETE", "/api/v1/keys/<identity>"),
}
"""What this test cannot ask without an error."""


def test_every_route_says_what_its_answer_looks_like() -> None:
    assert set(SHAPES) == {(route.method, route.path) for route in ROUTES}


def test_answers_look_as_they_are_described(instance: Instance) -> None:
    names = dict(things(instance))
    facts = operations()
    for (method, path), (_, address, arguments) in MATRIX.items():
        if (method, path) in NOT_SEEN:
            continue
        if "<" in path:
            made_again(instance)
        for name, real in names.items():
            address = address.replace(name, real)
        answer = instance.call(method, address, **arguments)
        known = facts[method, re.sub(r"<(\w+)>", r"{\1}", path)]["responses"]
        assert answer.status_code < 400, (method, path, answer.text)
        described = known.get(str(answer.status_code)) or known["2XX"]
        assert ("content" in described) == bool(answer.status_code not in (204, 303)), path
        if "content" in described:
            [(media, content)] = described["content"].items()
            assert answer.mimetype == media, path
            if "properties" in content.get("schema", {}):
                conforms(content["schema"], answer.json, path)
        answer.close()


def conforms(schema: dict[str, Any], found: Any, path: str) -> None:
    assert set(schema["required"]) <= set(found) <= set(schema["properties"]), path
    for name, value in found.items():
        wanted = schema["properties"][name].get("type", list(JSON_TYPES))
        kinds = [kind for each in ([wanted] if isinstance(wanted, str) else wanted) for kind in JSON_TYPES[each]]
        assert type(value) in kinds, (path, name, value)


def test_nothing_that_the_description_allows_is_a_server_error(instance: Instance) -> None:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", instance.app)
    chosen = schema.exclude(path_regex="/tail$")  # its answer does not end

    for result in chosen.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()

        @hypothesis.given(case=operation.as_strategy())
        @hypothesis.settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(hypothesis.HealthCheck))
        def holds(case: Case[Any]) -> None:
            case.call_and_validate(
                headers={"Authorization": f"Bearer {instance.keys['admin']}"}, checks=[not_a_server_error]
            )

        holds()


def test_the_explorer_has_no_inline_code_and_names_nothing_of_other_hosts(instance: Instance) -> None:
    page = instance.call("GET", "/explorer", None)
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert re.findall(r"<script(?![^>]* src=\"explorer\.js\")", page.text) == []
    folder = Path(__file__).parents[2] / "api" / "pages"
    for file in folder.iterdir():
        text = file.read_text()
        assert not re.search(r"https?://|//[a-z]+\.|innerHTML|eval\(|style=\"| on\w+=", text), file.name


@pytest.mark.parametrize("address", ["/explorer.js", "/explorer.css"])
def test_the_explorers_files_are_served(instance: Instance, address: str) -> None:
    assert instance.call("GET", address, None).status_code == 200
