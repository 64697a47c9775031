"""What a sweep shows of its trials."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from counterfoil.core.entry import Entry
from counterfoil.report.jobs import Job
from counterfoil.sweep.tuner import Task
from counterfoil.sweep.view import Trials, again, verdict
from tests.sweep.conftest import OPTIONS, Bench

Bounds = tuple[float | None, float | None]


def jobs_of(bench: Bench, settings: dict[str, tuple[float, float]]) -> list[Job]:
    tasks = [Task(name, dict(zip(OPTIONS, values, strict=True))) for name, values in settings.items()]
    jobs = [job for job in bench(tasks) if isinstance(job, Job)]
    for job in jobs:
        job.__dict__["rows"] = {"toy": []}
    return jobs


@pytest.fixture
def view(node: Callable[..., dict[str, Any]]) -> Trials:
    return Trials(node()["space"], ["judge_agreement", "l1"], {"validity": 0.99})


def test_the_front_holds_what_keeps_the_constraints_and_is_not_beaten(
    view: Trials, toy_jobs: Bench, tmp_path: Path
) -> None:
    tried = {"default": (0.5, 0.5), "1": (0.5, 0.1), "2": (0.9, 0.1), "3": (0.05, 0.001), "4": (0.2, 0.01)}
    shown = view.show(jobs_of(toy_jobs, tried), tmp_path, "trials")
    assert [row.split(":")[0] for row in shown.tables["front"].rows] == ["2", "1", "4"]
    assert list(shown.tables["front"].links.values()) == [f"{job}/report.html" for job in ("2", "1", "4")]
    assert list(shown.tables) == ["front"]
    assert 'href="2/report.html"' in shown.inline["trials"]
    assert all(path.is_file() for path in shown.files.values())
    assert {"trials", "trials-options", "trials-importances"} <= set(shown.files)
    shares = shown.content["importances"]["judge_agreement"]
    assert sum(shares.values()) == pytest.approx(1.0)


def test_the_test_stands_beside_the_default(view: Trials, toy_jobs: Bench, tmp_path: Path) -> None:
    tried = {"default": (0.5, 0.5), "test-default": (0.5, 0.5), "test-3": (0.7, 0.1)}
    shown = view.show(jobs_of(toy_jobs, tried), tmp_path, "trials")
    rows = shown.tables["test"].rows
    assert list(rows) == ["default", "winner (trial 3)", "winner - default"]
    assert rows["winner - default"]["judge_agreement"].value == pytest.approx(0.2)
    assert ">3 (winner)<" not in shown.inline["trials"], "trial 3 was not among the trials"
    again = "python evaluate.py 'explainer=[toy]' explainer.toy.pull=0.7 explainer.toy.rate=0.1"
    assert shown.tables["test"].note.endswith(f"The winner again, values rounded: {again}")
    assert "The winner does not beat the default: not told apart in Judge" in shown.tables["test"].note


def test_the_winner_s_command_is_that_of_one_evaluation(toy_jobs: Bench) -> None:
    (job,) = jobs_of(toy_jobs, {"test-3": (0.7, 0.1)})
    given = "evaluate.py -m sweep=toy launcher=joblib jobs=2 n=9 sweep.trials=8 '+sweep.space={a: {low: 1}}'"
    settings = "run_dir=x explainer.toy.pull=0.2 data.limit=30"
    job.summary["queries"]["command"] = f"python {given} {settings}"  # type: ignore[index]
    told = again(job, {"explainer.toy.pull": 0.12345678901234, "explainer.toy.kind": "a", "count": 3})
    assert told == (
        "python evaluate.py 'explainer=[toy]' n=9 data.limit=30 explainer.toy.pull=0.1235 "
        "'explainer.toy.kind='\"'\"'a'\"'\"'' count=3"
    )


def test_a_page_without_a_winner_says_so(view: Trials, toy_jobs: Bench, tmp_path: Path) -> None:
    shown = view.show(jobs_of(toy_jobs, {"default": (0.05, 0.5), "1": (0.01, 0.1)}), tmp_path, "trials")
    assert shown.tables["front"].note.endswith("No trial keeps them, so there is no winner to test.")
    tried = {"default": (0.5, 0.5), "1": (0.6, 0.9), "test-default": (0.5, 0.5)}
    shown = view.show(jobs_of(toy_jobs, tried), tmp_path, "trials")
    assert "No trial came out better than the default options" in shown.tables["test"].note


def gap(low: float | None, high: float | None, better: bool) -> Entry:
    return Entry(0.0, low=low, high=high, higher_is_better=better)


@pytest.mark.parametrize(
    ("judge", "l1", "says"),
    [
        (
            (-0.02, 0.01),
            (-0.04, -0.02),
            "beats the default: better in L1; not told apart in Judge agreement",
        ),
        ((0.01, 0.05), (-0.04, -0.02), "beats the default: better in Judge agreement and L1"),
        ((0.01, 0.05), (0.01, 0.02), "does not beat the default: better in Judge agreement; worse in L1"),
        ((None, None), (-0.1, 0.1), "does not beat the default: not told apart in Judge agreement and L1"),
    ],
)
def test_the_verdict_follows_the_intervals(judge: Bounds, l1: Bounds, says: str) -> None:
    assert verdict({"judge_agreement": gap(*judge, True), "l1": gap(*l1, False)}) == f"The winner {says}."
