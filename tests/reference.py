"""The generated parts of docs/: settings, commands, addresses, metrics. `make docs` writes them, test_docs.py compares.

A page is generated as a whole or, where a person writes about it, between the lines `<!-- generated: … -->` and
`<!-- end -->`.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click
import psutil
import pynvml

from monitoring.api.app import ROUTES
from monitoring.cli import main as command_line
from monitoring.pipeline.query.named import NAMED
from monitoring.pipeline.redact.shapes import SHAPES
from monitoring.pipeline.redact.vocabulary import CONCEPTS, KEY_OWNERS
from monitoring.pipeline.settings import TABLE, Setting
from monitoring.pipeline.vitals import FAMILIES
from monitoring.producers.collectors import host_collectors
from monitoring.producers.container import ContainerCollector
from monitoring.producers.filesystems import FileSystemCollector
from monitoring.producers.gpu import GpuCollector
from monitoring.producers.process import ProcessCollector
from monitoring.producers.registry import Registry
from monitoring.producers.system import SystemCollector
from monitoring.producers.trouble import Trouble

DOCS = Path(__file__).parents[1] / "docs"

_SETTINGS = """\
# Settings

Settings come from the environment. `monitoring config` prints what is in force and where it comes from. A
`MONITORING_*` name that is not in this table ends the program with exit code 2 and the nearest name that is. Sizes
take units (`512mb`, `2gb`), durations too (`250ms`, `90s`, `15m`, `7d`).

| name | default | unit | what it is, and why the default |
|---|---|---|---|
"""

_COMMANDS = """\
# Commands

`monitoring COMMAND --help` tells the same. Exit codes: 0 done, 1 failed, 2 wrong usage or settings. Errors go to
standard error as one line that begins with `monitoring:`.

A command works on the instance whose data directory `MONITORING_DATA_DIR` names, as its owner and without a key.
Where there is none, it talks to the instance at `MONITORING_URL` with the key `MONITORING_API_KEY`, as far as that
makes sense for it.

"""


def settings_page() -> str:
    """docs/settings.md."""
    return _SETTINGS + "".join(f"| `{row.name}` | {_default(row)} | {row.unit} | {_reason(row)} |\n" for row in TABLE)


def _reason(row: Setting) -> str:
    more = [f"one of {', '.join(f'`{choice}`' for choice in row.choices)}"] if row.choices else []
    more += [f"else {', '.join(f'`{alias}`' for alias in row.aliases)}"] if row.aliases else []
    more += ["never shown"] if row.secret else []
    return row.reason.replace("|", "\\|") + (f" ({'; '.join(more)})" if more else "")


def _default(row: Setting) -> str:
    value = row.default
    if value is None or value == "":
        return ""
    if row.kind == "size":
        size = int(value)
        unit = next((unit for unit, power in (("gb", 30), ("mb", 20), ("kb", 10)) if size % (1 << power) == 0), None)
        powers = {"gb": 30, "mb": 20, "kb": 10}
        return f"`{size >> powers[unit]}{unit}`" if unit else f"`{size}`"
    if row.kind == "duration":
        seconds = float(value)
        unit, length = next(((u, n) for u, n in (("d", 86_400), ("h", 3600), ("m", 60)) if seconds >= n), ("s", 1))
        return f"`{seconds / length:g}{unit}`"
    return f"`{value}`"


def commands_page() -> str:
    """docs/cli.md."""
    sections = [_section(path, context) for path, context in commands()]
    return _COMMANDS + "\n".join(sections)


def commands() -> Iterator[tuple[str, click.Context]]:
    """Every command with its path, groups before their members."""
    yield from _walk("monitoring", click.Context(command_line, info_name="monitoring"))


def _walk(path: str, context: click.Context) -> Iterator[tuple[str, click.Context]]:
    yield path, context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command is not None, f"{path} lists {name} and does not have it"
            if not command.hidden:
                yield from _walk(f"{path} {name}", click.Context(command, parent=context, info_name=name))


def _section(path: str, context: click.Context) -> str:
    command = context.command
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    lines = [
        f"## {path}" if path.count(" ") < 2 else f"### {path}",
        "",
        f"    {usage}",
        "",
        _prose(command.help or ""),
        "",
    ]
    options = [param for param in command.get_params(context) if isinstance(param, click.Option)]
    shown = [record for option in options if (record := option.get_help_record(context)) and "--help" not in record[0]]
    if shown:
        lines += ["| option | |", "|---|---|"]
        lines += [
            f"| `{option.replace('|', chr(92) + '|')}` | {what.replace('|', chr(92) + '|')} |" for option, what in shown
        ]
        lines.append("")
    return "\n".join(lines)


def _prose(text: str) -> str:
    """A help text as Markdown: paragraphs on one line, what click must not wrap as a block of code."""
    found = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b\n"):
            found.append("\n".join(f"    {line}" for line in paragraph.removeprefix("\b\n").splitlines()))
        else:
            found.append(textwrap.fill(" ".join(paragraph.split()), 118, break_on_hyphens=False))
    return "\n\n".join(found)


def routes_table() -> str:
    """The table of addresses in docs/api.md."""
    lines = ["| address | key | |", "|---|---|---|"]
    for route in ROUTES:
        query = "?" + "&".join(route.params) if route.params else ""
        what = (route.endpoint.__doc__ or "").strip().partition("\n")[0]
        lines.append(
            f"| `{route.method} {route.path}{query}` | {route.role or 'none'} | {what.replace('|', chr(92) + '|')} |"
        )
    return "\n".join(lines) + "\n"


def vitals_table() -> str:
    """The table of the instance's own metrics in docs/api.md."""
    lines = ["| metric | kind | labels | |", "|---|---|---|---|"]
    for family in FAMILIES:
        name = family.name + ("_total" if family.kind == "counter" else "")
        lines.append(
            f"| `{name}` | {family.kind} | {', '.join(f'`{each}`' for each in family.labels)} | {family.help} |"
        )
    return "\n".join(lines) + "\n"


def collector_tables() -> dict[str, str]:
    """The tables of metrics in docs/collectors.md, by the name of the collector: what its instruments say."""
    made = {name: Registry() for name in ("process", "system", "gpu", "container", "all")}
    ProcessCollector(made["process"])
    SystemCollector(made["system"], psutil)
    FileSystemCollector(made["system"], psutil)
    GpuCollector(made["gpu"], pynvml)
    ContainerCollector(made["container"])
    host_collectors(made["all"], Trouble(), locked=False)
    return {name: _metrics(registry) for name, registry in made.items()}


def _metrics(registry: Registry) -> str:
    lines = ["| metric | kind | unit | labels | |", "|---|---|---|---|---|"]
    for instrument in registry.instruments:
        meaning = instrument.meaning
        name = meaning.name + ("_total" if meaning.kind == "counter" else "")
        kind = meaning.kind if meaning.across in (None, "last") else f"{meaning.kind}, {meaning.across}"
        labels = ", ".join(f"`{label}`" for label in meaning.names)
        lines.append(f"| `{name}` | {kind} | {meaning.unit} | {labels} | {meaning.help} |")
    return "\n".join(lines) + "\n"


def kinds_table() -> str:
    """The table of what is told by its shape in docs/redaction.md."""
    told: dict[str, str] = {}
    for shape in SHAPES:
        if not told.get(shape.kind):
            told[shape.kind] = shape.what.replace("|", "\\|")
    lines = ["| kind | what it is |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{kind}` | {what} |" for kind, what in sorted(told.items()))]) + "\n"


def names_table() -> str:
    """The table of sensitive names in docs/redaction.md."""
    owned = {f"{owner} key" for owner in KEY_OWNERS}
    names: dict[tuple[str, bool], list[str]] = {}
    for concept in CONCEPTS:
        phrases = list(concept.phrases)
        if owned <= set(phrases):
            phrases = [phrase for phrase in phrases if phrase not in owned]
            phrases.insert(0, f"_x_ key, where _x_ is {', '.join(KEY_OWNERS)}")
        phrases = [f"another word and {phrase}" if concept.owned else phrase for phrase in phrases]
        names.setdefault((concept.kind, concept.strong), []).extend(phrases)
    lines = ["| kind | names | names that hide a value only where it looks like a secret |", "|---|---|---|"]
    for kind in dict.fromkeys(kind for kind, _ in names):
        lines.append(
            f"| `{kind}` | {'; '.join(names.get((kind, True), ()))} | {'; '.join(names.get((kind, False), ()))} |"
        )
    return "\n".join(lines) + "\n"


def named_table() -> str:
    """The table of queries that have a name, in docs/promql.md."""
    lines = ["| name | what it tells | unit | PromQL |", "|---|---|---|---|"]
    lines += [
        f"| `{name}` | {query.about} | {query.unit} | `{query.expr.replace('|', chr(92) + '|')}` |"
        for name, query in NAMED.items()
    ]
    return "\n".join(lines) + "\n"


def pages() -> dict[Path, str]:
    """Every page that has generated parts, as it should be."""
    api = (DOCS / "api.md").read_text()
    collectors = (DOCS / "collectors.md").read_text()
    for name, table in collector_tables().items():
        collectors = _replaced(collectors, name, table)
    redaction = _replaced((DOCS / "redaction.md").read_text(), "kinds", kinds_table())
    return {
        DOCS / "collectors.md": collectors,
        DOCS / "settings.md": settings_page(),
        DOCS / "cli.md": commands_page(),
        DOCS / "promql.md": _replaced((DOCS / "promql.md").read_text(), "named", named_table()),
        DOCS / "api.md": _replaced(_replaced(api, "routes", routes_table()), "vitals", vitals_table()),
        DOCS / "redaction.md": _replaced(redaction, "names", names_table()),
    }


def _replaced(page: str, name: str, text: str) -> str:
    pattern = re.compile(rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    assert pattern.search(page), f"no place for the generated {name}"
    return pattern.sub(lambda match: match[1] + text + match[2], page)


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
