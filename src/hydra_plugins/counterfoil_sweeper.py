"""Hydra's way to `counterfoil.sweep`; Hydra takes plugins from this package alone."""

from __future__ import annotations

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaSweeper(Sweeper):
    """Varies the options that `sweep.space` names; see `counterfoil.sweep`."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what launches jobs."""
        from hydra.core.plugins import Plugins

        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep; `arguments` are the overrides of the command."""
        from importlib.util import find_spec

        from counterfoil.core.errors import UserError

        if find_spec("optuna") is None:
            raise UserError("a sweep needs the package optuna: pip install 'counterfoil[sweep]'")
        from counterfoil.sweep.run import sweep

        assert self.config is not None
        sweep(self.config, self.launcher, arguments)
