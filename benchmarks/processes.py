"""Evaluations in processes of their own: what each needs, and what it found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timing import ROOT

from counterfoil.core.errors import UserError

BASE = (
    "experiment=pe_mnist_all",
    "methods=[revise,progressive]",
    "target=runner_up",
    "metric=[success,distances,linf,manifold,realism,cout,steps,cost,peak_memory_mb,strips]",
    "logger=none",
    "store=weights",
)
"""Two methods with all metrics; progressive has strips."""


@dataclass(frozen=True)
class Run:
    """What a process needed.

    Attributes:
        wall, cpu: seconds of the whole process; CPU seconds of its helpers count.
        peak: of its resident memory, in MB.
        stages: peak so far and seconds, by the stage that ended.
    """

    wall: float
    cpu: float
    peak: float
    stages: Mapping[str, Mapping[str, float]]

    def after_start(self, clock: str) -> float:
        """Seconds after imports and models: what grows with the queries."""
        return self.stages["end"][clock] - self.stages["start"][clock]


def evaluate(folder: Path, name: str, *overrides: str) -> Run:
    """Run evaluate.py in a fresh process.

    Args:
        folder: for what it says, `<name>.log`, and its stages, `<name>.json`.
        name: of the run.
        overrides: of evaluate.py.

    Raises:
        UserError: it ended with an exit code other than 0.
    """
    folder.mkdir(parents=True, exist_ok=True)
    told, log = folder / f"{name}.json", folder / f"{name}.log"
    command = [sys.executable, str(ROOT / "benchmarks" / "child.py"), str(told), *overrides]
    run = alone(command, log)
    return Run(*run, json.loads(told.read_text()))


def alone(command: Sequence[str], log: Path) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak memory in MB of a command; both of its outputs go to `log`.

    Linux counts what this process holds as a child's own until the child runs the command: keep it small.
    """
    environment = {"OMP_NUM_THREADS": "1"} | dict(os.environ)
    begun = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        lines = log.read_text().strip().splitlines() or [""]
        raise UserError(f"{command[1]} ended with {process.returncode}: {lines[-1]} (see {log})")
    return time.monotonic() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def figures(run_dir: Path) -> dict[str, Any]:
    """The figures of each method in a finished run, without those of time and memory."""
    methods = json.loads((run_dir / "metrics.json").read_text())["methods"]
    return {
        f"{method}, {name}, {part}": entry[part]
        for method, entries in methods.items()
        for name, entry in entries.items()
        if not name.startswith(("seconds", "peak_memory_mb"))
        for part in ("value", "low", "high", "n")
    }


def told_weights(run_dir: Path) -> dict[str, str]:
    """Sha256 of each file of weights that a finished run read."""
    found: dict[str, str] = json.loads((run_dir / "metrics.json").read_text())["weights"]
    return found


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """The largest absolute difference of two runs' figures.

    Raises:
        UserError: a figure that one of them lacks.
    """
    if one.keys() != other.keys() or any((one[name] is None) != (other[name] is None) for name in one):
        raise UserError("the runs do not hold the same figures")
    return max((abs(one[name] - other[name]) for name in one if one[name] is not None), default=0.0)
