"""The manifest of a backup: what is in it, in JSON beside the files, written last.

    {"format": 1, "created": "…", "release": "0.1.0", "instance": "…", "sqlite": "3.51.3",
     "schemas": {"segment": 1, …}, "rows": {"logs": 12, …}, "seconds": 0.4,
     "files": [{"path": "logs/p0/000001.db", "bytes": 4096, "sha256": "…"}, …]}

A directory without it is no backup, but what is left of one that was cut off.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import orjson

from monitoring.pipeline.errors import StoreCorrupt
from monitoring.pipeline.store.versions import known_schemas

__all__ = ["FORMAT", "MANIFEST_FILE", "Manifest", "Stored", "digest"]

FORMAT = 1
"""Of the manifest and the layout; the files in it have versions of their own."""
MANIFEST_FILE = "manifest.json"
_CHUNK_BYTES = 1 << 20
_MAX_BYTES = 256 << 20
"""A line a file of 150 bytes: a million segments. More is no manifest of ours."""


class Stored(NamedTuple):
    """A file of the backup by its path inside it, with `/`."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. `rows` are events by signal, `schemas` the newest version by kind of file."""

    created: str
    release: str
    instance: str
    sqlite: str
    schemas: dict[str, int]
    rows: dict[str, int]
    seconds: float
    files: list[Stored]

    @property
    def total_bytes(self) -> int:
        """Of all files together."""
        return sum(file.bytes for file in self.files)

    def to_json(self) -> bytes:
        """As it is written."""
        members = asdict(self)
        members["files"] = [file._asdict() for file in self.files]
        return orjson.dumps({"format": FORMAT, **members}, option=orjson.OPT_INDENT_2)

    @classmethod
    def read(cls, directory: Path) -> Manifest:
        """The manifest of a backup. Raises StoreCorrupt where it is none, damaged, or of a newer release."""
        path = directory / MANIFEST_FILE
        try:
            if path.stat().st_size > _MAX_BYTES:
                raise ValueError("too large")
            members: dict[str, Any] = orjson.loads(path.read_bytes())
            if members.pop("format") != FORMAT:
                raise StoreCorrupt(f"{directory} was made by a newer release: restore it with that one")
            files = [Stored(**file) for file in members.pop("files")]
            found = cls(files=files, **members)
        except FileNotFoundError:
            raise StoreCorrupt(f"{directory} is no backup: it has no {MANIFEST_FILE}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreCorrupt(f"{path} is damaged: use another backup ({error})") from error
        for file in found.files:  # what is written outside would be written there by whoever made the file
            inside = PurePosixPath(file.path)
            if inside.is_absolute() or ".." in inside.parts or not inside.parts:
                raise StoreCorrupt(f"{path} names {file.path!r}, which is outside of the backup: do not trust it")
        return found

    def check_known(self) -> None:
        """Raises StoreCorrupt where a file is of a schema that this release does not know."""
        known = known_schemas()
        for kind, version in self.schemas.items():
            if version > known.get(kind, 0):
                raise StoreCorrupt(
                    f"the backup holds {kind} files of version {version}, this release knows up to "
                    f"{known.get(kind, 0)}: restore it with release {self.release} or newer"
                )

    def check_files(self, directory: Path, *, progress: Callable[[str, int], None] = lambda name, size: None) -> None:
        """Read every file and compare. Raises StoreCorrupt for the first that is missing or another."""
        for file in self.files:
            path = directory / file.path
            try:
                found = digest(path)
            except OSError as error:
                raise StoreCorrupt(f"{path} of the backup cannot be read ({error.strerror}): use another") from error
            if found != (file.bytes, file.sha256):
                raise StoreCorrupt(f"{path} is not as it was when the backup was made: use another backup")
            progress(file.path, file.bytes)


def digest(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file."""
    sum_, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            sum_.update(chunk)
            size += len(chunk)
    return size, sum_.hexdigest()
