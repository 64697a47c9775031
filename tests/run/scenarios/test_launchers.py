"""One grid gives the same figures, whichever launcher runs its jobs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from joblib.externals.loky import get_reusable_executor

from tests.bench import Bench

Script = Callable[..., tuple[int, str, str]]
SRC = str(Path(__file__).parents[3] / "src")
COST = ("seconds", "peak_memory_mb")
GRID = ("0.6", "0.95")


@pytest.fixture(autouse=True)
def new_processes() -> Iterator[None]:
    """A command has processes of its own; joblib would take those of the test before, in its folder."""
    yield
    get_reusable_executor().shutdown(wait=True)
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()


LAUNCHERS = [
    "joblib",
    "submitit",
    pytest.param(
        "ray",
        marks=pytest.mark.skipif(find_spec("ray") is None, reason="needs pip install 'counterfoil[ray]'"),
    ),
]


@pytest.fixture(scope="module")
def alone(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The figures of both jobs, each evaluated here."""
    folder, found = tmp_path_factory.mktemp("alone"), []
    for confidence in GRID:
        run = folder / confidence
        bench.evaluate(run, "n=6", f"confidence={confidence}")
        found.append(figures(run))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_every_launcher_gives_the_same_figures(
    launcher: str, script: Script, bench: Bench, alone: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([SRC, os.environ.get("PYTHONPATH", "")]))
    given = (f"launcher={launcher}", "jobs=2", "threads=1", f"confidence={','.join(GRID)}", "run_dir=run")
    small = ("logger=none", f"store={bench.store}", *bench.models, *bench.quick, "n=6")
    code, _, error = script("evaluate", "-m", *given, *small)
    assert code == 0, error
    assert [figures(Path("run", job)) for job in ("0", "1")] == alone
    told = json.loads(Path("run", "1", "metrics.json").read_text())["queries"]["command"]
    assert told.startswith(f"python evaluate.py -m launcher={launcher} jobs=2")


@pytest.mark.slow
def test_a_sweep_runs_its_trials_in_processes(
    script: Script, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its study holds the folder meanwhile, and no lock goes to another process."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([SRC, os.environ.get("PYTHONPATH", "")]))
    code, _, error = script(
        "evaluate", "sweep=revise", "launcher=joblib", "jobs=2", "threads=1", "sweep.trials=3", "n=4",
        "sweep.parallel=2",
        "metric=[validity,judge_agreement,l1]", "~sweep.constraints.validity", "explainer.revise.steps=2",
        "~sweep.space", "+sweep.space={explainer.revise.lr: {low: 0.05, high: 0.5}}",
        "explainer.revise.rounds=1", "logger=none", f"store={bench.store}", *bench.models,
    )  # fmt: skip
    assert code == 0, error
    study = json.loads(Path("runs/sweep_revise/study.json").read_text())
    assert {"default", *map(str, range(1, 3)), "test-default"} <= {job["job"] for job in study["jobs"]}
    tried = [json.loads(path.read_text()) for path in Path("runs/sweep_revise").glob("[12]/metrics.json")]
    assert len({each["config"]["explainer"]["revise"]["lr"] for each in tried}) == 2


def figures(folder: Path) -> dict[str, Any]:
    """All that a run has measured, but its cost."""
    methods = json.loads((folder / "metrics.json").read_text())["methods"]
    return {
        method: {name: entry for name, entry in row.items() if name not in COST}
        for method, row in methods.items()
    }
