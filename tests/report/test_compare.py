"""Comparisons in Python are those of a run: the same figures, intervals and ties."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from counterfoil.core.errors import UserError
from counterfoil.metric.proximity import L1
from counterfoil.metric.validity import Validity
from counterfoil.report.compare import compare, evaluate


def test_scores_are_figures_with_intervals(run: SimpleNamespace) -> None:
    cf = run.methods["revise"]
    scores = evaluate(cf, [Validity(), L1()])
    assert list(scores) == ["validity", "l1", "l1_valid"]
    assert scores["validity"].value == 0.75
    assert scores["validity"].low < 0.75 < scores["validity"].high
    assert scores["l1"].value == pytest.approx(float(cf.delta.abs().mean()))
    assert repr(scores).startswith("validity 75.0 %, l1 0.")
    assert {"validity", "l1", "sparsity", "steps"} <= evaluate(cf).keys()


def test_a_comparison_marks_the_best_and_what_is_tied(run: SimpleNamespace) -> None:
    found = compare({name: run.methods[name] for name in ("revise", "wachter")}, [Validity(), L1()])
    assert found["wachter"]["validity"].value == 1
    assert found.marked["validity"] == {"wachter": "best", "revise": "tied"}
    assert found.marked["l1"] == {"revise": "best"}
    lines = repr(found).splitlines()
    assert lines[0].startswith("| method | Validity % ↑ |")
    assert lines[2].startswith("| revise | **75.0 [")
    assert "**100 [" in lines[3]
    page = found._repr_html_()
    assert page.count("<tr>") == 3
    assert "<td><b>100 [" in page
    assert found.to_dict()["name"] == ["revise", "wachter"]
    assert found.to_dict()["validity"] == [0.75, 1.0]


def test_a_list_is_numbered_and_names_are_escaped(run: SimpleNamespace) -> None:
    assert list(compare(list(run.methods.values()), [Validity()]).rows) == ["1", "2", "3"]
    by = [
        replace(cf, method=name)
        for name, cf in zip(("revise", "wachter"), run.methods.values(), strict=False)
    ]
    assert list(compare(by, [Validity()]).rows) == ["revise", "wachter"]
    assert list(compare([by[0], by[0]], [Validity()]).rows) == ["1", "2"]
    assert "<b>own</b>" not in compare(run.methods, [Validity()])._repr_html_()
    with pytest.raises(UserError, match="found none"):
        compare([])
