"""Rules of files in control.db: read again when a file changes, forgotten when it goes.

A file is taken over whole or not at all. One with errors keeps the rules that it had before; what is wrong stands
in `status` until it is right. A rule of a file replaces one of the same name that came with the product; one that
somebody made over the API is not replaced but told as an error.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import orjson

from monitoring.pipeline.alerts.files import MAX_BYTES, FileError, Parsed, parse
from monitoring.pipeline.clock import rfc3339
from monitoring.pipeline.settings import Settings
from monitoring.pipeline.store import rules as table
from monitoring.pipeline.store.control import Control

__all__ = ["RuleFile", "changed", "directory", "files", "status", "sync"]

_ACTOR = "file"
_MAX_FILES = 500
_MOST_TROUBLED = 100
"""Named in `status`; the list of rules has all."""


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A file as it was last read: when (nanoseconds since 1970), how many rules it brought, what is wrong with it."""

    path: str
    loaded: int
    rules: int
    errors: list[FileError]

    def describe(self) -> dict[str, Any]:
        """As JSON members."""
        return {
            "path": self.path,
            "loaded_at": rfc3339(self.loaded),
            "rules": self.rules,
            "errors": [error.describe() for error in self.errors],
        }


def status(control: Control, now_ns: int) -> dict[str, Any]:
    """How the rules are doing, as JSON members: how many in each state, what fails or is late, errors in files."""
    rows = control.rows("SELECT name, status, note FROM rule WHERE enabled ORDER BY name")
    ((due,),) = control.rows("SELECT min(due) FROM rule WHERE enabled")
    return {
        "states": dict(sorted(Counter(state for _, state, _ in rows).items())),
        "troubled": [
            {"rule": name, "state": state, "note": note} for name, state, note in rows if state in ("error", "stale")
        ][:_MOST_TROUBLED],
        "overdue_seconds": round(max(0, now_ns - due) / 1e9, 3) if due is not None else 0.0,
        "file_errors": [
            {"path": file.path, **error.describe()} for file in files(control) for error in file.errors
        ][:_MOST_TROUBLED],
    }  # fmt: skip


def directory(chosen: Settings) -> Path:
    """Where the files lie."""
    return chosen.path("rules_dir") or chosen.data / "rules"


def files(control: Control) -> list[RuleFile]:
    """The files that were read, by path."""
    rows = control.rows("SELECT path, loaded, rules, errors FROM rule_file ORDER BY path")
    return [
        RuleFile(path, loaded, count, [FileError(*each) for each in orjson.loads(errors)])
        for path, loaded, count, errors in rows
    ]


def changed(control: Control, where: Path) -> bool:
    """Whether a file is new, different or gone since they were last read."""
    return _known(control) != {str(path): _signature(path) for path in _paths(where)}


def sync(control: Control, where: Path, now_ns: int, *, base_url: str = "") -> bool:
    """Read what has changed; whether anything had."""
    known = _known(control)
    found = {str(path): _signature(path) for path in _paths(where)}
    if known == found:
        return False
    with control.transaction() as connection:
        for gone in sorted(set(known) - set(found)):
            for name in _names(connection, gone):
                table.drop(connection, name, _ACTOR, f"{gone} is gone", now_ns, base_url)
            connection.execute("DELETE FROM rule_file WHERE path = ?", (gone,))
        for path in sorted(path for path, signature in found.items() if known.get(path) != signature):
            _take(connection, path, found[path], _parsed(Path(path)), now_ns, base_url)
    return True


def _take(
    connection: apsw.Connection, path: str, signature: str, parsed: Parsed, now: int, base_url: str
) -> None:  # fmt: skip
    former = _names(connection, path)
    errors = parsed.errors or _clashes(connection, path, parsed)
    if not errors:
        new = {rule.name for rule, _ in parsed.rules}
        for name in sorted(former - new):
            table.drop(connection, name, _ACTOR, f"{path} does not hold the rule any more", now, base_url)
        for rule, line in parsed.rules:
            if not rule.enabled:
                table.close(connection, rule.name, _ACTOR, f"the rule was switched off in {path}", now, base_url)
            table.put(connection, rule, "file", _ACTOR, now, path, line)
    count = len(former) if errors else len(parsed.rules)
    connection.execute(
        "INSERT OR REPLACE INTO rule_file VALUES(?, ?, ?, ?, ?)",
        (path, signature, now, count, orjson.dumps([list(error) for error in errors])),
    )


def _clashes(connection: apsw.Connection, path: str, parsed: Parsed) -> list[FileError]:
    found = []
    for rule, line in parsed.rules:
        row = connection.execute("SELECT source, file FROM rule WHERE name = ?", (rule.name,)).get
        if row is not None and row[0] != "default" and row[1] != path:
            where = f"in {row[1]}" if row[0] == "file" else "made over the API"
            found.append(FileError(line, f"name: there is a rule {rule.name!r} already, {where}"))
    return found


def _parsed(path: Path) -> Parsed:
    try:
        if path.stat().st_size > MAX_BYTES:
            return Parsed([], [FileError(1, f"larger than {MAX_BYTES >> 20} MiB: divide it")])
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        return Parsed([], [FileError(1, f"cannot be read: {error}")])


def _paths(where: Path) -> list[Path]:
    found = [path for path in where.iterdir() if path.suffix in (".yaml", ".yml")] if where.is_dir() else []
    return sorted(path for path in found if not path.name.startswith(".") and path.is_file())[:_MAX_FILES]


def _signature(path: Path) -> str:
    """Changes when the file does, also where it is replaced by one as old and as long."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_mtime_ns}:{status.st_size}:{status.st_ino}"


def _known(control: Control) -> dict[str, str]:
    return dict(control.rows("SELECT path, signature FROM rule_file"))


def _names(connection: apsw.Connection, path: str) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM rule WHERE source = 'file' AND file = ?", (path,))}
