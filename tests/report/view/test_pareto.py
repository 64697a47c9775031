"""The front of two metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from counterfoil.core.entry import Entry
from counterfoil.report.jobs import Job
from counterfoil.report.view.pareto import Pareto, front


def test_the_front_holds_what_no_other_beats() -> None:
    def point(cost: float | None, gain: float) -> tuple[Entry, Entry]:
        return Entry(cost, higher_is_better=False), Entry(gain, higher_is_better=True)

    points = {"dear": point(3, 9), "cheap": point(1, 5), "beaten": point(3, 5), "unknown": point(None, 9)}
    assert front(points) == ["cheap", "dear"]


def test_the_table_holds_the_front(job: Callable[..., Job], tmp_path: Path) -> None:
    jobs = [job(0.5, 0, {"near": (0.1, 0.5), "far": (0.2, 1.0), "bad": (0.2, 0.5)})]
    shown = Pareto("l1", "judge_agreement").show(jobs, tmp_path, "front")
    assert list(shown.tables["front"].rows) == ["near", "far"]
    assert all(path.is_file() for path in shown.files.values())
