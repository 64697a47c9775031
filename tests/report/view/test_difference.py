"""One method minus another, or one value of an option minus another."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterfoil.report.jobs import Job
from counterfoil.report.view.difference import Difference


def test_between_methods(jobs: list[Job], tmp_path: Path) -> None:
    view = Difference(["l1"], [("near", "far")], where={"confidence": 0.5})
    entry = view.show(jobs, tmp_path, "gap").tables["gap"].rows["far - near"]["l1"]
    assert (entry.value, entry.low, entry.high) == pytest.approx((0.02, 0.02, 0.02))


def test_between_values_of_an_option(jobs: list[Job], tmp_path: Path) -> None:
    rows = Difference(["l1"], [(0.5, 0.9)], over="confidence").show(jobs, tmp_path, "gap").tables["gap"].rows
    assert {name: round(cells["l1"].value or 0, 6) for name, cells in rows.items()} == {
        "near: 0.9 - 0.5": 0.04,
        "far: 0.9 - 0.5": 0.04,
    }


def test_an_options_values_as_rows(jobs: list[Job], tmp_path: Path) -> None:
    view = Difference(["l1"], [("near", "far"), ("far", "near")], rows="confidence", labels={"0.9": "sure"})
    rows = view.show(jobs, tmp_path, "gap").tables["l1"].rows
    assert list(rows) == ["0.5", "sure"]
    assert rows["sure"]["near - far"].value == pytest.approx(-0.02)
    assert rows["sure"]["near - far"].label == "near - far"
