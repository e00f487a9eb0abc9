"""docs/api.md and the routes say the same; its examples are run in test_served.py."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from monitoring.api.app import ROUTES
from monitoring.api.problems import TITLES

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"


class Section(NamedTuple):
    method: str
    path: str
    text: str
    examples: list[str]


def sections() -> list[Section]:
    parts = re.split(r"^#{2,3} ", DOCUMENT.read_text(), flags=re.MULTILINE)
    found = []
    for part in parts:
        match = re.match(r"`([A-Z]+) (/[^`]*)`\n", part)
        if match:
            examples = re.findall(r"^```sh\n(.*?)^```", part, flags=re.MULTILINE | re.DOTALL)
            found.append(Section(match[1], match[2], part, examples))
    return found


def test_every_route_is_described_and_nothing_else_is() -> None:
    assert sorted((section.method, section.path) for section in sections()) == sorted(
        (route.method, route.path) for route in ROUTES
    )


def test_every_description_names_the_role_and_the_parameters_and_has_an_example() -> None:
    by_route = {(section.method, section.path): section for section in sections()}
    for route in ROUTES:
        section = by_route[route.method, route.path]
        assert (f"Role: `{route.role}`." if route.role else "Open to all.") in section.text, section.path
        for name in route.params:
            assert f"`{name}`" in section.text, (section.path, name)
        assert section.examples, section.path
        fixed = route.path.partition("<")[0]
        assert all("curl" in example and fixed in example for example in section.examples), section.path


def test_every_status_of_a_problem_is_described() -> None:
    text = DOCUMENT.read_text()
    for status in TITLES:
        if status not in (409, 500):
            assert re.search(rf"^\| [0-9, ]*{status}", text, flags=re.MULTILINE), status
