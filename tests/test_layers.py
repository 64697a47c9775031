"""Imports go downward, as pyproject.toml says; and the front door stays light."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def python(source: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that finds the package in `source`."""
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True
    )


def lint(source: Path) -> subprocess.CompletedProcess[str]:
    return python(source, LINT, "--no-cache")


def test_imports_go_downward() -> None:
    done = lint(ROOT / "src")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line", "told"),
    [
        (
            "classifier/base.py",
            "from counterfoil.explainer.base import Explainer",
            "counterfoil.classifier.base -> counterfoil.explainer.base",
        ),
        ("core/query.py", "import counterfoil.util.rank", "counterfoil.core.query -> counterfoil.util.rank"),
        ("extra/__init__.py", "", "extra"),
    ],
)
def test_one_upward_import_or_unplaced_package_is_found(
    tmp_path: Path, file: str, line: str, told: str
) -> None:
    copy = shutil.copytree(
        ROOT / "src" / "counterfoil",
        tmp_path / "counterfoil",
        ignore=shutil.ignore_patterns("assets", "__py*"),
    )
    (copy / file).parent.mkdir(exist_ok=True)
    with (copy / file).open("a") as source:
        source.write(f"\n{line}\n")
    done = lint(tmp_path)
    assert done.returncode == 1, done.stderr
    assert told in done.stdout
