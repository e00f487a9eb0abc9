"""What is written is true: every setting, command and address stands in the docs, and what the docs show exists."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from monitoring.api.app import ROUTES
from monitoring.pipeline.alerts.defaults import defaults
from monitoring.pipeline.alerts.rule import BUILT_IN
from monitoring.pipeline.settings import TABLE
from tests import reference

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = sorted([README, ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

# In pieces, or this file would hold what no file may.
REGISTRIES = [
    f"{name}.{end}" for name, end in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"))
]
MACHINE_PATHS = re.compile(r"(?<![\w.~$}/-])/(?:work|root|opt/(?:pypi|wheels))/")


def _tracked() -> Iterator[Path]:
    """The files of the project: what is committed or could be."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        path = ROOT / name
        if path.is_file() and not path.is_symlink():
            yield path


@cache
def _commands() -> dict[str, click.Context]:
    return dict(reference.commands())


@pytest.mark.parametrize("page", ["settings.md", "cli.md", "api.md", "collectors.md", "redaction.md"])
def test_the_generated_parts_are_current(page: str) -> None:
    path = ROOT / "docs" / page
    assert path.read_text() == reference.pages()[path], "run `make docs`"


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    assert [row.name for row in TABLE if f"| `{row.name}` |" not in text] == []


def test_every_rule_that_comes_with_the_product_has_a_runbook_and_those_about_itself_name_it() -> None:
    text = (ROOT / "docs" / "runbooks.md").read_text()
    listed = (ROOT / "docs" / "alerts.md").read_text()
    sections = {part.split("\n", 1)[0]: part for part in text.split("\n## ")[1:]}
    assert list(sections) == [rule.name for rule in defaults()]
    for rule in defaults():
        for part in ("Means", "Look at", "Do", "Quiet"):
            assert f"**{part}**: " in sections[rule.name], rule.name
        assert f"| {rule.name} |" in listed
        if rule.kind in BUILT_IN:
            assert rule.annotations["runbook"] == f"docs/runbooks.md#{rule.name.lower().replace(' ', '-')}"


def test_every_command_and_option_is_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    for path, context in _commands().items():
        assert re.search(rf"^##+ {re.escape(path)}$", text, re.MULTILINE), path
        for param in context.command.params:
            for option in param.opts if isinstance(param, click.Option) else ():
                assert option in text, f"{path} {option}"


def test_every_address_is_documented() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    assert [route for route in ROUTES if f"| `{route.method} {route.path}" not in text] == []


@pytest.mark.parametrize("name", NAMES)
def test_commands_that_a_page_shows_exist(name: str) -> None:
    for words in _shown_commands(ROOT / name, "monitoring"):
        path, rest = "monitoring", words[1:]
        while rest and f"{path} {rest[0]}" in _commands():
            path = f"{path} {rest.pop(0)}"
        command = _commands()[path].command
        assert not isinstance(command, click.Group) or not rest or re.match(r"-|…|[A-Z]+$", rest[0]), f"{name}: {words}"
        known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)} | {
            "-h",
            "--help",
        }
        used = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        assert used <= known, f"{name}: {shlex.join(words)} has options that {path} does not know: {used - known}"


@pytest.mark.parametrize("name", NAMES)
def test_make_targets_that_a_page_shows_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in _shown_commands(ROOT / name, "make"):
        assert {word for word in words[1:] if re.fullmatch(r"[a-z-]+", word)} <= targets, f"{name}: {words}"


def _shown_commands(page: Path, program: str) -> Iterator[list[str]]:
    """Command lines of this program in shell blocks and between backticks, each split into words."""
    text = re.sub(r"<!--.*?-->", "", page.read_text(), flags=re.DOTALL)
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for line in lines:
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue  # not a command line
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if words and words[0] == program and len(words) > 1:
            yield words


@pytest.mark.parametrize("name", NAMES)
def test_addresses_that_a_page_shows_exist(name: str) -> None:
    known = [re.compile(re.sub(r"<[^>]+>", "[^/]+", route.path)) for route in ROUTES]
    for address in re.findall(r"(?<![\w/.-])/(?:api/v\d+/[\w/<>-]+|healthz|readyz)", (ROOT / name).read_text()):
        assert any(pattern.fullmatch(address) for pattern in known), f"{name}: {address}"


@pytest.mark.parametrize("name", NAMES)
def test_settings_that_a_page_names_exist(name: str) -> None:
    known = {row.name for row in TABLE}
    found = set(re.findall(r"\bMONITORING_[A-Z_]+[A-Z]\b", (ROOT / name).read_text()))
    assert found <= known, f"{name}: {found - known}"


@pytest.mark.parametrize("name", NAMES)
def test_links_and_files_that_a_page_names_exist(name: str) -> None:
    page = ROOT / name
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        assert target.startswith("https://") or (page.parent / target).exists(), f"{name}: {target}"
    folders = "producers|pipeline|consumers|api|monitoring|tests|bench|docs|examples"
    for file in re.findall(rf"`((?:{folders})/[\w/.-]+)`", text):
        assert (ROOT / file).exists() or file.startswith("bench/results"), f"{name}: {file}"


def test_every_page_is_reached_from_the_readme() -> None:
    todo, seen = [README], {README}
    while todo:
        page = todo.pop()
        for target in re.findall(r"\]\(([^)#\s]+\.md)[^)]*\)", page.read_text()):
            linked = (page.parent / target).resolve()
            if linked not in seen:
                seen.add(linked)
                todo.append(linked)
    assert {page for page in PAGES if "docs" in page.parts} <= seen


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout: what belongs to the project is not known")
def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    found = []
    for path in _tracked():
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{path.name}: {host}" for host in REGISTRIES if host in text]
        found += [f"{path.name}: {match[0]}" for match in MACHINE_PATHS.finditer(text) if path != Path(__file__)]
    assert found == []
