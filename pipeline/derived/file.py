"""Definitions in a YAML file: `derived_metrics:` with the members of the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from monitoring.pipeline.derived.definition import MAX_DEFINITIONS, Definition, DefinitionInvalid, definition_of

__all__ = ["Parsed", "parse", "read", "signature"]

_MAX_BYTES = 1 << 20
"""A hundred definitions with long queries are half of that."""


class Parsed(NamedTuple):
    """The definitions of a file that can be used, and what is wrong with the others."""

    definitions: list[Definition]
    errors: list[str]


def signature(path: Path) -> str:
    """Changes when the file does; "" where there is none."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_mtime_ns}:{status.st_size}:{status.st_ino}"


def read(path: Path) -> Parsed:
    """The definitions of a file; one that cannot be read holds none and an error."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            return Parsed([], [f"{path}: larger than {_MAX_BYTES >> 20} MiB"])
        return parse(data.decode(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        return Parsed([], [f"{path}: cannot be read: {error}"])


def parse(text: str, path: str) -> Parsed:
    """The definitions of a YAML text."""
    import yaml  # 20 ms that a drain without such a file need not pay

    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=yaml.SafeLoader)):
            return Parsed([], [f"{path}: aliases are not taken: a small file could become a huge one"])
        root = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return Parsed([], [f"{path}: not YAML: {' '.join(str(error).split())}"])
    if root is None:
        return Parsed([], [])
    items: Any = root.get("derived_metrics") if isinstance(root, dict) and len(root) == 1 else None
    if not isinstance(items, list):
        return Parsed([], [f"{path}: the file must hold `derived_metrics:`, a list, and nothing else"])
    found: dict[str, Definition] = {}
    errors = []
    for place, item in enumerate(items, 1):
        try:
            definition = definition_of(item)
        except DefinitionInvalid as error:
            errors.append(f"{path}: definition {place}: {error}")
            continue
        if definition.name in found or len(found) >= MAX_DEFINITIONS:
            problem = (
                "stands there twice" if definition.name in found else f"is one too many: {MAX_DEFINITIONS} at most"
            )
            errors.append(f"{path}: definition {place}: name: {definition.name} {problem}")
        else:
            found[definition.name] = definition
    return Parsed(list(found.values()), errors)
