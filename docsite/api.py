"""The pages of the API, one per package, and what of it has no docstring."""

from __future__ import annotations

import ast
import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import counterfoil

ROOT = Path(counterfoil.__file__).parent
PACKAGES = (
    *("core", "data", "classifier", "generative", "search", "explainer", "metric", "testing"),
    *("report", "run"),
)
INNER = ("run", "report")
"""Packages of which the front door alone is shown: what else they hold belongs to the two commands."""


def pages() -> Iterator[tuple[str, str, str]]:
    """Path, title and Markdown of each page."""
    yield "api/index.md", "Names", front_door()
    for package in PACKAGES:
        if package not in INNER:
            yield f"api/{package}.md", package, page(package)
    yield "api/python.md", "load, evaluate, compare", _python()


def front_door() -> str:
    """What `from counterfoil import NAME` gives, by package."""
    places = counterfoil._PLACES
    lines = ["# API", "", "`from counterfoil import NAME` gives, each loaded when it is first used:", ""]
    for package in PACKAGES:
        names = sorted(name for name, module in places.items() if module.split(".")[1] == package)
        if names:
            file = "python.md" if package in INNER else f"{package}.md"
            linked = ", ".join(f"[`{name}`][{_defined(name)}]" for name in names)
            lines += [f"- [{package}]({file}): {linked}"]
    return "\n".join(lines) + "\n"


def page(package: str) -> str:
    """All modules of a package that define something public."""
    told = inspect.cleandoc(import_module(f"counterfoil.{package}").__doc__ or "")
    lines = [f"# counterfoil.{package}", "", told, ""]
    return "\n".join(lines) + "".join(f"\n::: {name}\n" for name in modules(package))


def modules(package: str) -> list[str]:
    """The modules of a package that define something public, by name."""
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
        names = [getattr(node, "name", "_") for node in ast.parse(path.read_text("utf-8")).body]
        if path.stem != "__init__" and any(not name.startswith("_") for name in names):
            found.append(".".join(("counterfoil", *path.relative_to(ROOT).with_suffix("").parts)))
    return found


def _python() -> str:
    shown = sorted({place for place in counterfoil._PLACES.values() if place.split(".")[1] in INNER})
    return "# Load, evaluate, compare\n" + "".join(f"\n::: {name}\n" for name in shown)


def _defined(name: str) -> str:
    """Where a name is defined: a package such as `search` hands on what its modules define."""
    return f"{getattr(counterfoil, name).__module__}.{name}"


def undocumented(package: ModuleType = counterfoil) -> list[str]:
    """Public modules, classes, functions and methods without a docstring, of their own or inherited."""
    missing = []
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        module = import_module(info.name)
        missing += [] if inspect.getdoc(module) else [info.name]
        for name, value in vars(module).items():
            if name.startswith("_") or getattr(value, "__module__", None) != info.name:
                continue
            if inspect.isclass(value):
                missing += [f"{info.name}.{name}.{part}" for part in _bare(value)]
            if (inspect.isclass(value) or inspect.isfunction(value)) and not value.__doc__:
                missing.append(f"{info.name}.{name}")
    return missing


def _bare(cls: type) -> list[str]:
    """Methods that a class writes, that no class above it documents either."""
    return [
        name
        for name, value in vars(cls).items()
        if not name.startswith("_")
        and name not in vars(cls).get("__annotations__", {})  # a field is told where the class is
        and (inspect.isfunction(value) or isinstance(value, (property, classmethod, staticmethod)))
        and not inspect.getdoc(getattr(cls, name))
    ]
