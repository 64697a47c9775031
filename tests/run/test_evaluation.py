"""What makes two runs the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from counterfoil.core.errors import UserError
from counterfoil.run.evaluation import content, fingerprint


def test_files_count_by_their_content(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("index,target\n0,1\n")
    node = {"n": 3, "queries": str(tmp_path / "a.csv"), "mask": None}
    first = fingerprint(node)
    assert fingerprint({**node, "queries": str(tmp_path / "b.csv")}) == first
    (tmp_path / "a.csv").write_text("index,target\n0,2\n")
    assert fingerprint(node) != first
    assert fingerprint({**node, "queries": None}) != first


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
    assert fingerprint({**node, "threads": 4, "run_dir": "x", "metric": {}}) == fingerprint(node)
    assert fingerprint({**node, "confidence": 0.5}) != fingerprint(node)


def test_other_questions_under_the_same_name_are_another_run(bench: Any, tmp_path: Path) -> None:
    asked = tmp_path / "asked.csv"
    asked.write_text("index,target\n0,1\n")
    given = (f"queries={asked}", "explainer=[nearest]", "metric=[validity]")
    bench.evaluate(tmp_path / "run", *given)
    asked.write_text("index,target\n0,2\n")
    with pytest.raises(UserError, match="holds another evaluation"):
        bench.evaluate(tmp_path / "run", *given)
