"""Secrets at rest: AES-256-GCM under a key that lies beside the database, not in it.

`secret.key` (mode 0600) holds 32 random bytes in hex. Who copies control.db, or its backup, has no secret; who can
read the whole directory is its owner and has all of them.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import orjson

from monitoring.pipeline.durable import write_once
from monitoring.pipeline.errors import StoreCorrupt

__all__ = ["KEY_FILE", "SecretBox"]

KEY_FILE = "secret.key"
_KEY_BYTES = 32
_NONCE_BYTES = 12
"""NIST SP 800-38D: 96 random bits; safe for 2^32 seals under one key, and people edit channels by hand."""


class SecretBox:
    """Seals and opens small JSON objects. The key is made when the first one is sealed."""

    def __init__(self, data: Path) -> None:
        self._path = data / KEY_FILE

    def seal(self, content: dict[str, Any], name: str) -> bytes:
        """The object, unreadable; `name` must be given again to open it, so rows cannot be swapped."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 20 ms that few commands need

        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self._key()).encrypt(nonce, orjson.dumps(content), name.encode())

    def open(self, sealed: bytes, name: str) -> dict[str, Any]:
        """What was sealed. Raises StoreCorrupt where the key is another or the bytes were changed."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not sealed:
            return {}
        key = self._read()
        try:
            if key is None:
                raise InvalidTag
            found: dict[str, Any] = orjson.loads(
                AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
            )
        except (InvalidTag, ValueError) as error:
            raise StoreCorrupt(
                f"{self._path} does not open the secrets of channel {name}: restore it from a backup, "
                "or enter the secrets again"
            ) from error
        return found

    def _key(self) -> bytes:
        return self._read() or self._create()

    def _read(self) -> bytes | None:
        try:
            key = bytes.fromhex(self._path.read_text(encoding="ascii"))
        except FileNotFoundError:
            return None
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            raise StoreCorrupt(f"{self._path} holds no key: restore it from a backup, or remove it")
        return key

    def _create(self) -> bytes:
        """Whole or not at all, and one only, whoever else creates it at the same time."""
        write_once(self._path, secrets.token_hex(_KEY_BYTES) + "\n")
        key = self._read()
        if key is None:
            raise StoreCorrupt(f"{self._path} vanished while it was made")
        return key
