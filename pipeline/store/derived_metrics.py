"""Metrics derived from logs, as they are defined: over the API in control.db, or in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from monitoring.pipeline.clock import NowNs, rfc3339, wall_ns
from monitoring.pipeline.derived import file
from monitoring.pipeline.derived.definition import MAX_DEFINITIONS, Definition, DefinitionInvalid, definition_of
from monitoring.pipeline.errors import PermanentError
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store.control import FILE_NAME, Control

__all__ = ["DefinedElsewhere", "DefinitionExists", "DerivedMetric", "DerivedMetrics", "InForce"]


class DefinitionExists(PermanentError):
    """There is one of this name."""


class DefinedElsewhere(PermanentError):
    """It is defined in a file, so it is changed there."""


@dataclass(frozen=True, slots=True)
class DerivedMetric:
    """A definition, and where it stands: `source` is "api" or "file". `changed` is nanoseconds since 1970."""

    definition: Definition
    source: str
    changed: int | None = None
    changed_by: str = ""

    def describe(self) -> dict[str, Any]:
        """As JSON members."""
        changed = rfc3339(self.changed) if self.changed is not None else None
        origin = {"source": self.source, "changed_at": changed, "changed_by": self.changed_by}
        return {**self.definition.describe(), **origin}


class DerivedMetrics:
    """All definitions. Those of the file come first: one of a name that the file has is refused over the API, and
    one that was there already is not in force while the file has the name. Safe between threads."""

    def __init__(self, control: Control, path: Path | None, *, now_ns: NowNs = wall_ns) -> None:
        self._control, self._path, self._now_ns = control, path, now_ns

    def all(self) -> tuple[list[DerivedMetric], list[str]]:
        """Those in force by name, and what is wrong with the others."""
        parsed = file.read(self._path) if self._path else file.Parsed([], [])
        stored, errors = _stored(self._control)
        return _in_force(parsed, stored, errors)

    def get(self, name: str) -> DerivedMetric | None:
        """The one of this name."""
        return next((each for each in self.all()[0] if each.definition.name == name), None)

    def save(self, definition: Definition, actor: str, *, replace: bool) -> DerivedMetric:
        """Keep a definition, in place of what had its name if `replace`.

        Raises DefinitionExists, DefinedElsewhere, and DefinitionInvalid where there are too many.
        """
        known = {each.definition.name: each for each in self.all()[0]}
        former = known.get(definition.name)
        if former is not None and former.source == "file":
            raise DefinedElsewhere(f"{definition.name} is defined in {self._path}")
        made = DerivedMetric(definition, "api", self._now_ns(), actor)
        with self._control.transaction() as connection:
            names = {name for (name,) in connection.execute("SELECT name FROM derived_metric")}
            if definition.name in names and not replace:
                raise DefinitionExists(definition.name)
            if len((names | set(known)) - {definition.name}) >= MAX_DEFINITIONS:
                raise DefinitionInvalid("name", f"{MAX_DEFINITIONS} metrics are derived already", "remove one")
            connection.execute(
                "INSERT OR REPLACE INTO derived_metric VALUES(?, ?, ?, ?)",
                (definition.name, orjson.dumps(definition.describe()), made.changed, actor),
            )
        return made

    def remove(self, name: str) -> DerivedMetric | None:
        """Forget a definition; what it counted stays. None where there is none. Raises DefinedElsewhere."""
        found = self.get(name)
        if found is not None and found.source == "file":
            raise DefinedElsewhere(f"{name} is defined in {self._path}")
        with self._control.transaction() as connection:
            connection.execute("DELETE FROM derived_metric WHERE name = ?", (name,))
        return found


class InForce:
    """What a drain asks: the definitions in force, read again when they change. Not for several threads or forks.

    Where there is neither a file nor a control.db nothing is opened.
    """

    def __init__(self, chosen: Settings) -> None:
        self._file, self._control_file = chosen.path("derived_file"), chosen.data / FILE_NAME
        self._control: Control | None = None
        self._signature = ""
        self._parsed = file.Parsed([], [])
        self._rows: list[Any] = []
        self.definitions: list[Definition] = []
        self.errors: list[str] = []

    def changed(self) -> bool:
        """Look for changes; whether there are any. Raises as Control does."""
        signature = file.signature(self._file) if self._file else ""
        if self._control is None and self._control_file.exists():
            self._control = Control(self._control_file)
        rows = _rows(self._control) if self._control else []
        if (signature, rows) == (self._signature, self._rows):
            return False
        if signature != self._signature and self._file:
            self._parsed = file.read(self._file)
        self._signature, self._rows = signature, rows
        found, self.errors = _in_force(self._parsed, *_read(rows))
        self.definitions = [each.definition for each in found]
        return True

    def close(self) -> None:
        """Close what is open."""
        if self._control is not None:
            self._control.close()
            self._control = None


def _rows(control: Control) -> list[tuple[Any, ...]]:
    return control.rows("SELECT data, changed, changed_by FROM derived_metric ORDER BY name")


def _stored(control: Control) -> tuple[list[DerivedMetric], list[str]]:
    return _read(_rows(control))


def _read(rows: list[tuple[Any, ...]]) -> tuple[list[DerivedMetric], list[str]]:
    """Definitions as they are stored; one that this release does not understand is an error and no more."""
    found, errors = [], []
    for data, changed, actor in rows:
        try:
            found.append(DerivedMetric(definition_of(orjson.loads(data)), "api", changed, actor))
        except DefinitionInvalid as error:
            errors.append(f"{orjson.loads(data).get('name')}: {error}")
    return found, errors


def _in_force(
    parsed: file.Parsed, stored: list[DerivedMetric], errors: list[str]
) -> tuple[list[DerivedMetric], list[str]]:
    found = {definition.name: DerivedMetric(definition, "file") for definition in parsed.definitions}
    more = [*parsed.errors, *errors]
    for each in stored:
        name = each.definition.name
        if name in found:
            more.append(f"{name}: made over the API, and not in force because the file defines it too")
        elif len(found) >= MAX_DEFINITIONS:
            more.append(f"{name}: not in force: the file and the API have more than {MAX_DEFINITIONS}")
        else:
            found[name] = each
    return [found[name] for name in sorted(found)], more
