"""Flips and judge agreement at equal perturbation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from counterfoil.core.errors import UserError
from counterfoil.report.jobs import Job
from counterfoil.report.view.perturbation import Moves, Perturbation, nearest, pool, read_moves


def test_a_query_counts_at_the_least_perturbation_of_its_successes() -> None:
    moved = Moves(
        np.array(["7, 1", "7, 1", "8, 1", "9, 1"]),
        {"flipping_ratio": np.array([True, True, False, True])},
        {"l1": np.array([0.3, 0.2, 0.1, 0.4])},
    )
    assert nearest(moved, "flipping_ratio", "l1").tolist() == [0.2, np.inf, 0.4]


def test_shares_at_a_budget_over_all_jobs(jobs: list[Job], tmp_path: Path) -> None:
    shown = Perturbation(["near", "far"], ["l1"], budgets=[0.05, 0.2]).show(jobs, tmp_path, "equal")
    rows = shown.tables["equal l1"].rows
    found = {name: [entry.value for entry in cells.values()] for name, cells in rows.items()}
    assert found == {"near": [1.0, 1.0, 0.25, 0.5], "far": [0.0, 1.0, 0.0, 1.0]}
    assert all(path.is_file() for path in shown.files.values())


def test_jobs_of_other_queries_are_refused(job: Callable[..., Job]) -> None:
    moved = read_moves(job(0.5, 0, {"near": (0.1, 1.0)}))
    part = {"near": Moves(moved["near"].query[:3], moved["near"].success, moved["near"].moved)}
    with pytest.raises(UserError, match="explained different queries"):
        pool([moved, part])


def test_a_success_in_one_seed_is_none_in_another(job: Callable[..., Job], tmp_path: Path) -> None:
    several = [job(0.5, 0, {"near": (0.04, 0.25)}), job(0.5, 1, {"near": (0.04, 0.75)})]
    table = Perturbation(["near"], ["l1"], budgets=[0.1]).show(several, tmp_path, "equal").tables["equal l1"]
    entry = table.rows["near"]["judge agreement at 0.1"]
    one = read_moves(several[0])["near"]
    assert (entry.value, entry.seeds, entry.n) == (0.5, 2, 2 * len(one.query))
    assert "Student's" in table.note
