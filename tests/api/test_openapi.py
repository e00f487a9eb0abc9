"""OpenAPI: it describes what is served, what is served is as it describes, and no input that it allows is a 500."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import hypothesis
import orjson
import pytest
import schemathesis
from schemathesis import Case, SerializationContext
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok

from monitoring.api.app import ROUTES
from monitoring.api.openapi import describe
from monitoring.api.params import Fields
from monitoring.api.shapes import SHAPES
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
    return value if isinstance(value, bytes) else orjson.dumps(value)


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


def test_answers_look_as_they_are_described(instance: Instance) -> None:
    with instance.draining():
        instance.post(b'{"message":"x","service":"s"}')
        instance.messages(1)
    event_id = instance.get("/api/v1/logs")["events"][0]["id"]
    instance.call("PUT", "/api/v1/searches/nothing", json={"query": "x"})
    facts = operations()
    for (method, path), (_, address, arguments) in MATRIX.items():
        answer = instance.call(method, address.replace("0000000000000000-0-1", event_id), **arguments)
        known = facts[method, re.sub(r"<(\w+)>", r"{\1}", path)]["responses"]
        if answer.status_code >= 400 or (method, path) not in SHAPES:
            answer.close()
            continue
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
