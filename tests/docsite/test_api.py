"""The API's pages show every public name, and nothing public lacks a docstring."""

from __future__ import annotations

import re

import counterfoil
from counterfoil.testing import check_metric
from docsite.api import PACKAGES, front_door, modules, pages, undocumented


def test_nothing_public_lacks_a_docstring() -> None:
    assert undocumented() == []


def test_what_lacks_one_is_named(monkeypatch: object) -> None:
    told, check_metric.__doc__ = check_metric.__doc__, None
    try:
        assert undocumented() == ["counterfoil.testing.metric.check_metric"]
    finally:
        check_metric.__doc__ = told


def test_every_name_of_the_front_door_is_linked_to_a_module_that_is_shown() -> None:
    shown = {name for _, _, text in pages() for name in re.findall(r"^::: (\S+)$", text, re.MULTILINE)}
    linked = dict(re.findall(r"\[`(\w+)`\]\[([\w.]+)\.\1\]", front_door()))
    assert sorted(linked) == counterfoil.__all__
    assert set(linked.values()) <= shown


def test_modules_of_a_package_are_found() -> None:
    assert "counterfoil.core.query" in modules("core")
    assert all(modules(package) for package in PACKAGES)
