"""Metrics against the values of an option."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from counterfoil.core.errors import UserError
from counterfoil.report.jobs import Job
from counterfoil.report.view.curve import Curve


def test_one_table_per_method_and_one_figure(jobs: list[Job], tmp_path: Path) -> None:
    shown = Curve("confidence", ["l1"]).show(jobs, tmp_path, "curve")
    assert list(shown.tables) == ["curve near", "curve far"]
    assert [cells["l1"].value for cells in shown.tables["curve far"].rows.values()] == [0.06, 0.10]
    assert all(path.is_file() for path in shown.files.values())


def test_methods_without_every_value_are_left_out(
    jobs: list[Job], job: Callable[..., Job], tmp_path: Path
) -> None:
    more = [*jobs, job(0.95, 0, {"near": (0.1, 0.5)})]
    assert list(Curve("confidence", ["l1"]).show(more, tmp_path, "curve").tables) == ["curve"]
    with pytest.raises(UserError, match="no method was run at every value of confidence"):
        Curve("confidence", ["l1"], methods=["far"]).show(more, tmp_path, "curve")
