"""What mkdocstrings shows of a formula is code."""

from __future__ import annotations

from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
griffe = pytest.importorskip("griffe", reason="pip install 'counterfoil[docs]'")


def test_a_formula_of_a_class_is_code() -> None:
    from docsite.formulas import Formulas

    read = griffe.load("counterfoil", extensions=griffe.Extensions(Formulas()), search_paths=[SOURCE])
    assert "```text\nmin_z  CE(f(G(z)), t)" in read["explainer.revise.Revise"].docstring.value
