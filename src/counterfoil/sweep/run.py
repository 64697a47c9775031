"""A sweep as Hydra runs it: trials are jobs of a study, below the sweep's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from optuna.trial import TrialState

from counterfoil.core.errors import UserError
from counterfoil.report.jobs import Job, read_job
from counterfoil.run.config import INCIDENTAL
from counterfoil.run.study import ENDED
from counterfoil.sweep.plan import Plan
from counterfoil.sweep.space import overrides
from counterfoil.sweep.tuner import Task, Tuner


def sweep(config: DictConfig, launcher: Any, arguments: Sequence[str]) -> None:
    """Run what is left of the sweep that a composed config describes."""
    folder = Path(config.hydra.sweep.dir)
    folder.mkdir(parents=True, exist_ok=True)
    node: Any = OmegaConf.to_container(config.get("sweep") or OmegaConf.create(), resolve=True)
    plan = Plan.of(node)
    defaults = {option: default_of(config, option) for option in plan.space}
    jobs = Jobs(folder, launcher, arguments)
    study = Tuner(plan, folder, jobs, defaults, settled(config, defaults)).run()
    for trial in study.trials:
        if trial.state == TrialState.COMPLETE:
            jobs.remember(trial.user_attrs["folder"], trial.params)


def default_of(config: DictConfig, option: str) -> Any:
    """The value that an option of the space has in the config.

    Raises:
        UserError: there is no such option.
    """
    missing = object()
    value = OmegaConf.select(config, option, default=missing)
    if value is missing:
        parent = OmegaConf.select(config, option.rpartition(".")[0])
        known = ", ".join(map(str, parent)) if isinstance(parent, DictConfig) else "none"
        raise UserError(f"sweep.space.{option}: there is no option {option}; beside it there are: {known}")
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def settled(config: DictConfig, varied: Mapping[str, Any]) -> Any:
    """What of a config decides a trial's figures, but the options varied and how long the sweep goes on."""
    node: Any = OmegaConf.to_container(OmegaConf.masked_copy(config, [
        str(key) for key in config if key not in (*INCIDENTAL, "sweep", "hydra", "store", "device")
    ]), resolve=True)  # fmt: skip
    for option in varied:
        *path, last = option.split(".")
        place = node
        for part in path:
            place = place.get(part, {})
        place.pop(last, None)
    return node


class Jobs:
    """Runs tasks by a Hydra launcher, each in its folder; a finished one is skipped by the study's rule."""

    def __init__(self, folder: Path, launcher: Any, arguments: Sequence[str]) -> None:
        self.folder, self.launcher, self.arguments = folder, launcher, list(arguments)
        self.count = 0

    def __call__(self, tasks: Sequence[Task]) -> list[Job | None]:
        """The finished job of each task; None where it failed."""
        if not tasks:
            return []
        batch = [
            [*self.arguments, *overrides(task.values), *task.further, f"hydra.sweep.subdir='{task.folder}'"]
            for task in tasks
        ]
        self.launcher.launch(batch, initial_job_idx=self.count)
        self.count += len(batch)
        return [self._read(task.folder) for task in tasks]

    def _read(self, folder: str) -> Job | None:
        failed = self._errors(folder).get(Path(folder).name)
        return None if failed else read_job(self.folder / folder)

    def remember(self, folder: str, values: Mapping[str, Any]) -> None:
        """Have a trial of an earlier command joined with those of this one."""
        if folder not in self._errors(folder):
            line = {"job": folder, "overrides": [*self.arguments, *overrides(values)], "error": None}
            with (self.folder / ENDED).open("a") as file:
                file.write(json.dumps(line) + "\n")

    def _errors(self, folder: str) -> dict[str, str | None]:
        """How the jobs beside a folder have ended, by name."""
        path = (self.folder / folder).parent / ENDED
        lines = path.read_text().splitlines() if path.is_file() else []
        return {line["job"]: line["error"] for line in map(json.loads, lines)}
