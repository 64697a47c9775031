"""Methods against metrics: rows, columns and marks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from counterfoil.core.entry import Entry
from counterfoil.core.errors import UserError
from counterfoil.report.jobs import Job
from counterfoil.report.view.leaderboard import Leaderboard, difference


def test_rows_are_methods_and_the_best_is_marked(jobs: list[Job], tmp_path: Path) -> None:
    view = Leaderboard(["l1"], where={"confidence": 0.5}, labels={"near": "Near"})
    table = view.show(jobs, tmp_path, "board").tables["board"]
    assert list(table.rows) == ["Near", "far"]
    assert table.rows["Near"]["l1"].value == 0.04
    assert table.marked["l1"] == {"Near": "best"}
    with pytest.raises(UserError, match="no finished job has confidence=1"):
        Leaderboard(where={"confidence": 1}).show(jobs, tmp_path, "board")


def test_rows_or_columns_may_be_the_values_of_an_option(jobs: list[Job], tmp_path: Path) -> None:
    rows = Leaderboard(["l1"], rows="confidence").show(jobs, tmp_path, "board").tables
    assert {name: list(table.rows) for name, table in rows.items()} == {
        "near": ["0.5", "0.9"],
        "far": ["0.5", "0.9"],
    }
    columns = Leaderboard(["l1"], columns="confidence").show(jobs, tmp_path, "board").tables
    assert [entry.value for entry in columns["l1"].rows["far"].values()] == [0.06, 0.10]


def test_metrics_of_two_parts_may_be_split(tmp_path: Path) -> None:
    values = {"seen/a": 0.1, "seen/b_c": 0.2, "kept/a": 0.3, "l1": 0.4}
    figures = {name: Entry(value, label="Long name").as_dict() for name, value in values.items()}
    made = Job(tmp_path, {"methods": {"near": figures}, "config": {"seed": 0}})
    view = Leaderboard(split=True, labels={"seen": "Seen"})
    table = view.show([made], tmp_path, "edits").tables["near"]
    assert {row: {c: e.value for c, e in cells.items()} for row, cells in table.rows.items()} == {
        "Seen": {"a": 0.1, "b_c": 0.2},
        "kept": {"a": 0.3},
    }
    assert table.head("b_c") == "b_c"


def test_differences_are_paired_by_query_or_by_seed(jobs: list[Job], job: Callable[..., Job]) -> None:
    """Queries move alike under both methods, so the paired interval has no width."""
    assert difference(jobs[:1], "far", "near", "l1") == pytest.approx((0.02, 0.02))
    assert difference(jobs[:1], "far", "near", "fid_judge") is None


def test_a_skewed_positive_number_is_compared_on_the_logarithm(tmp_path: Path) -> None:
    """FID 4, 3, 4 against 44, 22, 21: the difference over seeds holds 0, that of logarithms does not."""
    jobs = []
    for seed, values in enumerate(({"a": 4.0, "b": 44.0}, {"a": 3.0, "b": 22.0}, {"a": 4.0, "b": 21.0})):
        rows = {n: Entry(v, None, None, 9, higher_is_better=False, minimum=0.0) for n, v in values.items()}
        methods = {name: {"fid": entry.as_dict()} for name, entry in rows.items()}
        jobs.append(Job(tmp_path, {"methods": methods, "config": {"seed": seed}}))
        jobs[-1].__dict__["rows"] = {}
    low, high = difference(jobs, "b", "a", "fid") or (1.0, 0.0)
    assert low < 0 < high
    table = Leaderboard(["fid"]).show(jobs, tmp_path, "board").tables["board"]
    assert table.marked["fid"] == {"a": "best"}


def test_a_metric_that_one_seed_lacks_ties_nobody(tmp_path: Path) -> None:
    def made(seed: int, *names: str) -> Job:
        row = {"fid": Entry(4.0 + seed, None, None, 9, higher_is_better=False, minimum=0.0).as_dict()}
        methods = {name: row if name in names else {} for name in ("a", "b")}
        found = Job(tmp_path, {"methods": methods, "config": {"seed": seed}})
        found.__dict__["rows"] = {}
        return found

    table = Leaderboard(["fid"]).show([made(0, "a", "b"), made(1, "b")], tmp_path, "board").tables["board"]
    assert table.marked["fid"] == {"a": "best"}
