"""Evaluations without models: a method whose figures follow from two options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from counterfoil.report.jobs import Job
from counterfoil.sweep.tuner import Task

OPTIONS = "explainer.toy.pull", "explainer.toy.rate"


@dataclass
class Bench:
    """Runs tasks: judge = pull, L1 = pull^2 + rate, validity 1 where pull is above a tenth.

    `killed` tasks raise KeyboardInterrupt once, `broken` ones fail.
    """

    folder: Path
    ran: list[str] = field(default_factory=list)
    killed: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)

    def __call__(self, tasks: Sequence[Task]) -> list[Job | str]:
        return [self._one(task) for task in tasks]

    def _one(self, task: Task) -> Job | str:
        if task.folder in self.killed:
            self.killed.remove(task.folder)
            raise KeyboardInterrupt
        self.ran.append(task.folder)
        if task.folder in self.broken:
            return f"{task.folder} is broken"
        pull, rate = (float(task.values.get(option, 0.5)) for option in OPTIONS)
        figures = {
            "judge_agreement": entry(pull, True),
            "l1": entry(pull**2 + rate, False),
            "validity": entry(float(pull > 0.1), True),
        }
        config = {
            "seed": 0,
            "n": 9,
            "explainer": {"toy": dict(zip(("pull", "rate"), (pull, rate), strict=True))},
        }
        return Job(self.folder / task.folder, {"config": config, "methods": {"toy": figures}, "queries": {}})


def entry(value: float, higher: bool) -> dict[str, Any]:
    return {"value": value, "low": value - 0.02, "high": value + 0.02, "n": 9, "higher_is_better": higher}


@pytest.fixture
def toy_jobs(tmp_path: Path) -> Bench:
    """Evaluations of a method without models."""
    return Bench(tmp_path)


@pytest.fixture
def node() -> Callable[..., dict[str, Any]]:
    """node(trials=5) is the node `sweep` of a config."""

    def made(**options: Any) -> dict[str, Any]:
        space = {OPTIONS[0]: {"low": 0.0, "high": 1.0}, OPTIONS[1]: {"low": 1e-3, "high": 1.0, "log": True}}
        return {"name": "toy", "trials": 8, "constraints": {"validity": 0.99}, "space": space, **options}

    return made
