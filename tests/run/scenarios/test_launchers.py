"""One grid gives the same figures, whichever launcher runs its jobs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench import Bench

Script = Callable[..., tuple[int, str, str]]
COST = ("seconds", "peak_memory_mb")


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


def figures(folder: Path) -> dict[str, Any]:
    """All that a run has measured, but its cost."""
    methods = json.loads((folder / "metrics.json").read_text())["methods"]
    return {
        method: {name: entry for name, entry in row.items() if name not in COST}
        for method, row in methods.items()
    }
