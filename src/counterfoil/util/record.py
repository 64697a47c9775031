"""What is noted of a run: the command, the versions, and files that are written whole or not at all."""

from __future__ import annotations

import json
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

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
    import shlex

    script = Path(sys.argv[0])
    inner = (
        script.parent.name == "benchmarks"
    )  # the other scripts lie at the top, wherever they are called from
    return shlex.join(
        ["python", str(Path(script.parent.name, script.name)) if inner else script.name, *sys.argv[1:]]
    )


def write_json(path: Path, value: Any) -> None:
    """Write under a temporary name, then rename."""
    write_text(path, json.dumps(value, indent=1, default=str))


def write_text(path: Path, text: str) -> None:
    """Write under a temporary name, then rename."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
