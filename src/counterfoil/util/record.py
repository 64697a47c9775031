"""The record of a run: the command, the versions, and files that are written whole or not at all."""

from __future__ import annotations

import json
import platform
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from counterfoil.core.entry import Entry

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


def command_line() -> str:
    """The command that started this process, for a person to repeat."""
    script = Path(sys.argv[0])
    # the other scripts lie at the top, wherever they are called from
    shown = Path("benchmarks", script.name) if script.parent.name == "benchmarks" else script.name
    return shlex.join(["python", str(shown), *sys.argv[1:]])


def write_json(path: Path, value: Any) -> None:
    """Write a value, what JSON does not know as plain values or text; the file is whole or as it was."""
    write_text(path, json.dumps(value, indent=1, default=_plain))


def _plain(value: Any) -> Any:
    return value.as_dict() if isinstance(value, Entry) else str(value)


def write_text(path: Path, text: str) -> None:
    """Write text; the file is whole or as it was."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place at the end; it is removed where writing fails."""
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
