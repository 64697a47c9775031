"""Hydra's way to `counterfoil.run.ray_jobs`; Hydra takes plugins from this package alone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

WRITTEN = "multirun.yaml"


class RayLauncher(Launcher):
    """Runs the jobs of a multirun as tasks of Ray; options as in `counterfoil.run.ray_jobs.Options`."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what a job needs."""
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a job for each list of overrides; one that failed holds its error.

        Where none can begin, the folder is left as if the command had not been given.
        """
        from counterfoil.core.errors import UserError

        try:
            return self._launched(job_overrides, initial_job_idx)
        except UserError:
            assert self.config is not None
            _forget(Path(self.config.hydra.sweep.dir))
            raise

    def _launched(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from importlib.util import find_spec

        from counterfoil.core.errors import UserError

        if find_spec("ray") is None:
            raise UserError(
                "launcher=ray needs the package ray: pip install 'counterfoil[ray]', or choose another "
                "launcher="
            )
        from counterfoil.run.ray_jobs import Multirun, launch, options_of

        assert self.config is not None
        assert self.task is not None
        multirun = Multirun(self.context, self.config, self.task)
        return launch(multirun, options_of(self.options), job_overrides, initial_job_idx)


def _forget(folder: Path) -> None:
    """Remove the file that Hydra writes before the jobs, where there is nothing of a job."""
    if all(path.name == WRITTEN or path.name.startswith(".") for path in folder.glob("*")):
        (folder / WRITTEN).unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()
