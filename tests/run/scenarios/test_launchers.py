"""One grid gives the same figures, whichever launcher runs its jobs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from joblib.externals.loky import get_reusable_executor

from tests.bench import Bench

Script = Callable[..., tuple[int, str, str]]
COST = ("seconds", "peak_memory_mb")


@pytest.fixture(autouse=True)
def new_processes() -> Iterator[None]:
    """A command has processes of its own; joblib would take those of the test before, in its folder."""
    yield
    get_reusable_executor().shutdown(wait=True)


@pytest.mark.slow
def test_every_launcher_gives_the_same_figures(
    script: Script, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3] / "src"))
    found = {}
    small = ("logger=none", f"store={bench.store}", *bench.models, *bench.quick, "n=6")
    for launcher in ("", "joblib", "submitit"):
        chosen = (f"launcher={launcher}", "jobs=2") if launcher else ()
        given = (*chosen, "threads=1", "confidence=0.6,0.95", f"run_dir=run{launcher}", *small)
        code, _, error = script("evaluate", "-m", *given)
        assert code == 0, error
        found[launcher] = [figures(Path(f"run{launcher}", job)) for job in ("0", "1")]
    assert found[""] == found["joblib"] == found["submitit"]
    told = json.loads(Path("runjoblib", "1", "metrics.json").read_text())["queries"]["command"]
    assert told.startswith("python evaluate.py -m launcher=joblib jobs=2")


@pytest.mark.slow
def test_a_sweep_runs_its_trials_in_processes(
    script: Script, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its study holds the folder meanwhile, and no lock goes to another process."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3] / "src"))
    code, _, error = script(
        "evaluate", "sweep=revise", "launcher=joblib", "jobs=2", "threads=1", "sweep.trials=8", "n=4",
        "metric=[validity,judge_agreement,l1]", "~sweep.constraints.validity", "explainer.revise.steps=2",
        "~sweep.space", "+sweep.space={explainer.revise.lr: {low: 0.05, high: 0.5}}",
        "explainer.revise.rounds=1", "logger=none", f"store={bench.store}", *bench.models,
    )  # fmt: skip
    assert code == 0, error
    study = json.loads(Path("runs/sweep_revise/study.json").read_text())
    assert {"default", *map(str, range(1, 8)), "test-default"} <= {job["job"] for job in study["jobs"]}
    tried = [json.loads(path.read_text()) for path in Path("runs/sweep_revise").glob("[1-7]/metrics.json")]
    assert len({each["config"]["explainer"]["revise"]["lr"] for each in tried}) == 7


def figures(folder: Path) -> dict[str, Any]:
    """All that a run has measured, but its cost."""
    methods = json.loads((folder / "metrics.json").read_text())["methods"]
    return {
        method: {name: entry for name, entry in row.items() if name not in COST}
        for method, row in methods.items()
    }
