"""The versions that pyproject.toml promises are those that the two files of constraints install."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as name_of
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
UNTRIED = ("torchvision", "torch-fidelity", "ray", "timm", "onnx2torch")
"""Of extras that no test installs."""
TOOLS = ("ruff", "mypy", "import-linter")
"""Which look at the code and do not run it."""
SITE = ("mkdocs-material", "mkdocstrings", "mkdocstrings-python", "jupytext", "nbclient", "ipykernel")
"""Which make the documentation, with the versions of constraints.txt alone."""


def requirements() -> dict[str, Requirement]:
    text = (ROOT / "pyproject.toml").read_text()
    listed = re.findall(
        r'"([a-z][\w.-]*>=[^"]*)"', text[text.index("dependencies = [") : text.index("[tool.")]
    )
    return {name_of(each.name): each for each in map(Requirement, listed)}


def pinned(file: str, python: str) -> dict[str, Version]:
    """The version of each package in a file of constraints."""
    lines = [line for line in (ROOT / file).read_text().splitlines() if not line.startswith("#")]
    found = {}
    for pin in map(Requirement, lines):
        if pin.marker is None or pin.marker.evaluate({"python_version": python}):
            assert name_of(pin.name) not in found, f"{pin.name} is pinned twice for Python {python}"
            found[name_of(pin.name)] = Version(str(pin.specifier).removeprefix("=="))
    return found


def test_this_python_is_promised() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert 'requires-python = ">=3.10,<3.14"' in text
    assert (3, 10) <= sys.version_info[:2] < (3, 14)


@pytest.mark.parametrize("python", PYTHONS)
def test_pins_are_allowed_and_whole(python: str) -> None:
    pins = pinned("constraints.txt", python)
    for name, requirement in requirements().items():
        if name not in UNTRIED:
            assert pins[name] in requirement.specifier, f"{name}=={pins[name]}, expected {requirement}"


def test_lower_bounds_are_those_that_are_tried() -> None:
    pins = pinned("constraints-lowest.txt", "3.10")
    bounds = {
        name: Version(next(part.version for part in requirement.specifier if part.operator == ">="))
        for name, requirement in requirements().items()
        if name not in (*UNTRIED, *TOOLS, *SITE)
    }
    assert pins == bounds
