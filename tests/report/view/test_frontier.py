"""Curves of methods, read at matched values by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from counterfoil.core.errors import UserError
from counterfoil.report.jobs import Job
from counterfoil.report.view.frontier import Frontier


def test_both_axes_are_read_along_the_curve(jobs: list[Job], tmp_path: Path) -> None:
    shown = Frontier(distances=[0.06, 0.2], levels=[0.5]).show(jobs, tmp_path, "front")
    rows = shown.tables["front: judge agreement at l1"].rows
    assert rows["near"]["at 0.06"].value == pytest.approx(0.375)
    assert rows["far"]["at 0.06"].value == pytest.approx(0.5)
    assert rows["near"]["at 0.2"].value is None
    assert rows["near"]["at 0.06"].unit == "%"
    other = shown.tables["front: l1 at judge agreement"].rows
    assert other["near"]["at 50 %"].value == pytest.approx(0.08)
    assert other["far"]["at 50 %"].value == pytest.approx(0.06)
    low, high = other["far"]["at 50 %"].low, other["far"]["at 50 %"].high
    assert low is not None
    assert high is not None
    assert low <= 0.06 <= high
    assert all(path.is_file() for path in shown.files.values())
    assert shown.content["curves"]["near"][0]["l1"]["value"] == pytest.approx(0.04)


def test_a_point_is_drawn_and_has_no_row(job: Callable[..., Job], tmp_path: Path) -> None:
    still = {"unchanged": (0.0, 0.0)}
    jobs = [
        job(0.5, 1, {"near": (0.04, 0.25), **still}),
        job(0.9, 1, {"near": (0.08, 0.5), **still}),
    ]
    shown = Frontier(distances=[0.06], points=["unchanged"]).show(jobs, tmp_path, "front")
    assert list(shown.tables["front: judge agreement at l1"].rows) == ["near"]
    assert "unchanged" in next(iter(shown.files.values())).read_text()
    with pytest.raises(UserError, match="other is not in enough jobs"):
        Frontier(points=["other"]).show(jobs, tmp_path, "front")


def test_a_method_that_is_named_may_be_in_some_runs_alone(job: Callable[..., Job], tmp_path: Path) -> None:
    jobs = [
        job(0.5, 1, {"near": (0.04, 0.25), "slow": (0.02, 0.25)}),
        job(0.7, 1, {"near": (0.06, 0.4)}),
        job(0.9, 1, {"near": (0.08, 0.5), "slow": (0.06, 0.5)}),
    ]
    shown = Frontier(distances=[0.04], methods=["near", "slow"]).show(jobs, tmp_path, "front")
    rows = shown.tables["front: judge agreement at l1"].rows
    assert rows["slow"]["at 0.04"].value == pytest.approx(0.375)
    (table,) = Frontier(distances=[0.06]).show(jobs, tmp_path, "all").tables.values()
    assert list(table.rows) == ["near"]
    with pytest.raises(UserError, match="slow is not in enough jobs"):
        Frontier(methods=["slow"]).show(jobs[:2], tmp_path, "front")
