"""A sweep as Hydra runs it: trials are jobs of a study, below the sweep's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from optuna.trial import TrialState

from counterfoil.core.errors import UserError
from counterfoil.report.jobs import Job, read_job
from counterfoil.run.config import INCIDENTAL, used
from counterfoil.run.study import ended, note_ended
from counterfoil.sweep.plan import Plan
from counterfoil.sweep.space import overrides
from counterfoil.sweep.tuner import Task, Tuner


def sweep(config: DictConfig, launcher: Any, arguments: Sequence[str]) -> None:
    """Run what is left of the sweep that a composed config describes."""
    _refuse_untunable(config)
    folder = Path(config.hydra.sweep.dir)
    folder.mkdir(parents=True, exist_ok=True)
    plan = plan_of(config)
    defaults = {option: default_of(config, option) for option in plan.space}
    jobs = Jobs(folder, launcher, arguments)
    study = Tuner(plan, folder, jobs, defaults, settled(config, defaults)).run()
    for trial in study.trials:
        if trial.state == TrialState.COMPLETE:
            jobs.remember(trial.user_attrs["folder"], trial.params)


def plan_of(config: DictConfig) -> Plan:
    """The plan of a config: trials at once by its launcher, a slice only where it costs a quarter at most."""
    node: Any = OmegaConf.to_container(config.get("sweep") or OmegaConf.create(), resolve=True)
    plan = Plan.of(node)
    if plan.parallel is None:
        plan = replace(plan, parallel=max(1, min(int(config.get("jobs") or 1), plan.trials // 4)))
    small = isinstance(config.n, int) and config.n < 4 * plan.first
    return replace(plan, first=0) if small else plan


def _refuse_untunable(config: DictConfig) -> None:
    """Refuse what would have trials and test read the same images, or one trial replace another."""
    for name in ("queries", "counterfactuals"):
        if config.get(name) is not None:
            raise UserError(
                f"{name}={config[name]}: a sweep tries options on validation images and tests its winner on "
                f"test images; leave {name}= out"
            )
    if config.split != "val":
        raise UserError(f"split={config.split}: a sweep reads validation images; leave split= out")
    if config.overwrite:
        raise UserError("overwrite=true: a sweep goes on with its trials; for a new one choose run_dir=")


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
    return used(node)


class Jobs:
    """Runs tasks by a Hydra launcher, each in its folder; a finished one is skipped by the study's rule."""

    def __init__(self, folder: Path, launcher: Any, arguments: Sequence[str]) -> None:
        self.folder, self.launcher, self.arguments = folder, launcher, list(arguments)
        self.count = 0

    def __call__(self, tasks: Sequence[Task]) -> list[Job | str]:
        """The finished job of each task; the error of one that failed."""
        if not tasks:
            return []
        batch = [
            [*self.arguments, *overrides(task.values), *task.further, f"hydra.sweep.subdir='{task.folder}'"]
            for task in tasks
        ]
        self.launcher.launch(batch, initial_job_idx=self.count)
        self.count += len(batch)
        return [self._read(self.folder / task.folder) for task in tasks]

    @staticmethod
    def _read(folder: Path) -> Job | str:
        found = ended(folder.parent).get(folder.name, {"error": f"{folder} has not ended; see its log"})
        return found["error"] or read_job(folder)

    def remember(self, folder: str, values: Mapping[str, Any]) -> None:
        """Have a trial of an earlier command joined with those of this one."""
        if folder not in ended(self.folder):
            note_ended(self.folder / folder, [*self.arguments, *overrides(values)])
