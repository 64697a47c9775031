"""Short names for what a file or a value holds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from counterfoil.core.errors import UserError
from counterfoil.util.command import named


def digest(value: Any, digits: int = 10) -> str:
    """The first hex digits of the SHA-256 of a value as canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:digits]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content.

    Raises:
        UserError: where there is no such file.
    """
    if not path.is_file():
        raise UserError(
            f"checkpoint {path} does not exist; check the path, or leave the option out and train the model "
            f"with {named('train')}"
        )
    seen = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            seen.update(block)
    return seen.hexdigest()


def folder_digest(folder: Path) -> str:
    """SHA-256 of all files in a folder and below it, with their names."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest([(path.relative_to(folder).as_posix(), file_digest(path)) for path in files], 64)
