"""Formulas of docstrings become code; what is prose stays prose."""

from __future__ import annotations

import inspect

import pytest

from counterfoil import Revise
from docsite.docstring import as_code, is_formula, parts_of


@pytest.mark.parametrize(
    ("paragraph", "formula"),
    [
        ("min_z  CE(f(G(z)), t) + lambda * mean |x - G(z)|,   z_0 = E(x)", True),
        ("x_t <- m x_t + (1 - m) noised(x, t) at each step,  m = 1 where it differs", True),
        ("The trade-off is raised where x = y fails.", False),
        ("Args:\n    lambda_: weight = 1", False),
        ("Departures: none, x = y.\nSource: Paper (A, 2020), arXiv 1", False),
        ("One call for each image", False),
    ],
)
def test_formula_or_prose(paragraph: str, formula: bool) -> None:
    assert is_formula(paragraph) is formula


def test_code_keeps_the_formula_and_the_first_line() -> None:
    assert as_code("First.\n\nx' = x\n\nLast.") == "First.\n\n```text\nx' = x\n```\n\nLast."


def test_parts_of_a_method() -> None:
    parts = parts_of(inspect.getdoc(Revise) or "")
    assert parts.summary.startswith("REVISE")
    assert parts.text[0].startswith("```text\nmin_z")
    assert parts.departures.startswith("stops per query")
    assert parts.source.endswith("arXiv 1907.09615.")
