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


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_every_launcher_gives_the_same_figures(
    launcher: str, script: Script, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([SRC, os.environ.get("PYTHONPATH", "")]))
    found = {}
    small = ("logger=none", f"store={bench.store}", *bench.models, *bench.quick, "n=6")
    for name in ("none", launcher):
        chosen = () if name == "none" else (f"launcher={name}", "jobs=2")
        given = (*chosen, "threads=1", "confidence=0.6,0.95", f"run_dir=run-{name}", *small)
        code, _, error = script("evaluate", "-m", *given)
        assert code == 0, error
        found[name] = [figures(Path(f"run-{name}", job)) for job in ("0", "1")]
    assert found["none"] == found[launcher]
    told = json.loads(Path(f"run-{launcher}", "1", "metrics.json").read_text())["queries"]["command"]
    assert told.startswith(f"python evaluate.py -m launcher={launcher} jobs=2")


@pytest.mark.slow
def test_a_sweep_runs_its_trials_in_processes(
    script: Script, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its study holds the folder meanwhile, and no lock goes to another process."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([SRC, os.environ.get("PYTHONPATH", "")]))
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
