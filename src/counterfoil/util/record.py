"""The record of a run: the command, the versions, and files that are written whole or not at all."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from counterfoil.core.entry import Entry
from counterfoil.core.errors import UserError, first_line
from counterfoil.core.whole import whole as whole
from counterfoil.util.digest import digest

SEAL = "content_sha256"
"""Key of a JSON file that holds the hash of the rest."""
PACKAGES = (
    "counterfoil",
    "torch",
    "pytorch-lightning",
    "torchmetrics",
    "hydra-core",
    "wandb",
    "numpy",
    "safetensors",
)


def versions() -> dict[str, str]:
    """Versions of Python, the platform and the packages that results depend on."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a mapping, what JSON does not know as plain values or text; the file is whole or as it was.

    A hash of the content goes with it, for `read_json`.
    """
    plain = json.loads(json.dumps({key: part for key, part in value.items() if key != SEAL}, default=_plain))
    write_text(path, json.dumps(plain | {SEAL: digest(plain, 64)}, indent=1))


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read what `write_json` wrote, without its hash; a file that has none is taken as it is.

    Args:
        path: the file.
        what: it is, and what to do where it is damaged.

    Raises:
        UserError: it cannot be read, holds something else, or is not what was written.
    """
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({first_line(error)}), expected the {what}") from error
    if not isinstance(held, dict):
        raise UserError(f"{path} holds a {type(held).__name__}, expected the {what}")
    seal = held.pop(SEAL, None)
    if seal is not None and seal != digest(held, 64):
        raise UserError(f"{path} was changed or damaged since it was written, expected the {what}")
    return held


def _plain(value: Any) -> Any:
    return value.as_dict() if isinstance(value, Entry) else str(value)


def write_text(path: Path, text: str) -> None:
    """Write text; the file is whole or as it was. Names of files that are not UTF-8 keep their bytes."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="surrogateescape")
