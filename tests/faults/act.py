"""What is done under a fault: the scripts' own functions on small models; each can be pickled."""

from __future__ import annotations

import io
import json
import runpy
import sys
import tempfile
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterfoil.core.errors import UserError
from counterfoil.util.digest import file_digest
from tests.bench import ROOT, Bench, composed

MEASURED = ("seconds", "peak_memory_mb")
TRAINED = ("classifier=cnn", "classifier.training.epochs=2", "classifier.training.flip=true")
EXPLAINED = ("n=6", "batch_size=3", "explainer=[unchanged,nearest]", "metric=[validity,l1]")
STUDY = """# @package _global_
run_dir: FOLDER
study:
  name: tiny
  views:
    methods:
      _target_: counterfoil.report.view.leaderboard.Leaderboard
      metrics: [validity, l1]
hydra:
  mode: MULTIRUN
  sweeper: {params: {confidence: "0.6,0.95"}}
"""


def comparable(summary: dict[str, Any]) -> str:
    """What two runs of one command must share: everything but time and memory."""
    methods = {
        method: {name: entry for name, entry in entries.items() if not name.startswith(MEASURED)}
        for method, entries in summary["methods"].items()
    }
    return json.dumps(methods, sort_keys=True)


def told(said: str) -> Exception:
    """What a script said on standard error before it ended with 1: its lines, or a traceback."""
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    return UserError(lines[-1]) if lines and "Traceback" not in said else RuntimeError(said[-1500:])


@dataclass(frozen=True)
class Train:
    """train.py; gives the files of the store and the hash of the weights, which the manifest tells too.

    Another process may still hold its lock, so locks are no files of the store here.
    """

    folder: Path
    overrides: tuple[str, ...] = ()
    temporary: Path | None = None
    """Where the system's temporary files lie."""

    def __call__(self) -> Any:
        if self.temporary is not None:
            tempfile.tempdir = str(self.temporary)
        store = self.folder / "store"
        (weights,) = Bench(store, composed).train(self.folder / "run", *TRAINED, *self.overrides)
        sha256 = file_digest(weights)
        noted = json.loads(weights.with_suffix(".json").read_text())
        assert noted["sha256"] == sha256, "weights and manifest do not belong together"
        return sorted(path.name for path in store.iterdir() if path.suffix != ".lock"), sha256


@dataclass(frozen=True)
class Evaluate:
    """evaluate.py; gives its figures, and what temporary files are left."""

    store: Path
    run_dir: Path
    overrides: tuple[str, ...] = ()

    def __call__(self) -> Any:
        summary = Bench(self.store, composed).evaluate(self.run_dir, *EXPLAINED, *self.overrides)
        return comparable(summary), [path.name for path in self.run_dir.rglob("*.partial")]


@dataclass(frozen=True)
class Script:
    """A script as it is called; what it says on standard error is in `said`."""

    name: str
    folder: Path
    overrides: tuple[str, ...]

    @property
    def said(self) -> Path:
        """The file that holds it."""
        return self.folder / "said"

    def __call__(self) -> Any:
        sys.argv = [str(ROOT / f"{self.name}.py"), "logger=none", *self.overrides]
        self.folder.mkdir(exist_ok=True)
        with self.said.open("w") as said, redirect_stderr(said):
            runpy.run_path(sys.argv[0], run_name="__main__")


@dataclass(frozen=True)
class Study:
    """evaluate.py study=tiny, as a script; gives the joined figures."""

    store: Path
    folder: Path
    overrides: tuple[str, ...] = ()

    def __call__(self) -> Any:
        (self.folder / "conf" / "study").mkdir(parents=True, exist_ok=True)
        yaml = self.folder / "conf" / "study" / "tiny.yaml"
        run_dir = self.folder / "run"
        if not yaml.is_file():
            yaml.write_text(STUDY.replace("FOLDER", str(run_dir)))
        bench = Bench(self.store, composed)
        given = [f"--config-dir={self.folder / 'conf'}", "study=tiny", "logger=none", f"store={self.store}"]
        sys.argv = [str(ROOT / "evaluate.py"), *given, *bench.models, *EXPLAINED, *self.overrides]
        said = io.StringIO()
        try:
            with redirect_stderr(said):
                runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as end:
            if end.code == 1:
                raise told(said.getvalue()) from end
            raise
        study = json.loads((run_dir / "study.json").read_text())
        jobs = [comparable(json.loads((run_dir / job / "metrics.json").read_text())) for job in "01"]
        return study["views"], study["jobs"], jobs
