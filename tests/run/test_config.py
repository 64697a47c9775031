"""Options that are wrong, and what makes two runs the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from counterfoil.core.errors import UserError
from counterfoil.run.config import check_options, chosen, content, run_identity

GOOD: dict[str, Any] = {
    "n": 200,
    "count": 1,
    "batch_size": 128,
    "threads": None,
    "seed": 0,
    "confidence": 0.95,
}


@pytest.mark.parametrize("change", [{}, {"threads": 2}, {"n": 1}, {"confidence": 1}, {"seed": -1}])
def test_good_options_pass(change: dict[str, Any]) -> None:
    check_options({**GOOD, **change})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("n", value) for value in (0, -1, 2.5, "many", True, None)),
        *(("count", value) for value in (0, "two")),
        *(("batch_size", value) for value in (0, 1e3)),
        *(("threads", value) for value in (0, "all")),
        *(("seed", value) for value in ("x", 0.5, None)),
        *(("confidence", value) for value in (0, 0.0, 1.01, 95, "high", None, float("nan"))),
    ],
)
def test_bad_options_are_named_with_their_value(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"{name}={value}") as error:
        check_options({**GOOD, name: value})
    assert "\n" not in str(error.value)


def test_options_of_a_method_not_chosen_are_no_method() -> None:
    aip = {"_target_": "a.b", "mu": 1.0}
    assert chosen({"aip": aip, "gci": {"generator": {"role": "generative"}}}) == {"aip": aip}


def test_files_count_by_their_content(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("index,target\n0,1\n")
    node = {"n": 3, "queries": str(tmp_path / "a.csv"), "mask": None}
    first = run_identity(node)
    assert run_identity({**node, "queries": str(tmp_path / "b.csv")}) == first
    (tmp_path / "a.csv").write_text("index,target\n0,2\n")
    assert run_identity(node) != first
    assert run_identity({**node, "queries": None}) != first


def test_a_folder_counts_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"1")
    before = content(tmp_path)
    (tmp_path / "a.png").write_bytes(b"2")
    changed = content(tmp_path)
    (tmp_path / "a.png").rename(tmp_path / "b.png")
    assert len({before, changed, content(tmp_path)}) == 3
    assert content(tmp_path / "absent") == str(tmp_path / "absent")


def test_how_a_run_is_made_does_not_count() -> None:
    node = {"n": 3, "queries": None, "mask": None}
    assert run_identity({**node, "threads": 4, "run_dir": "x", "metric": {}}) == run_identity(node)
    assert run_identity({**node, "confidence": 0.5}) != run_identity(node)


def test_other_questions_under_the_same_name_are_another_run(bench: Any, tmp_path: Path) -> None:
    asked = tmp_path / "asked.csv"
    asked.write_text("index,target\n0,1\n")
    given = (f"queries={asked}", "explainer=[nearest]", "metric=[validity]")
    bench.evaluate(tmp_path / "run", *given)
    asked.write_text("index,target\n0,2\n")
    with pytest.raises(UserError, match="holds another evaluation"):
        bench.evaluate(tmp_path / "run", *given)
