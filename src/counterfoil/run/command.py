"""The two programs: what train.py, evaluate.py and the installed commands call, with Hydra around it."""

from __future__ import annotations

from pathlib import Path

import hydra
from omegaconf import DictConfig

from counterfoil.util import cli
from counterfoil.util.command import configs

CONFIGS = str(configs())


@hydra.main(version_base="1.3", config_path=CONFIGS, config_name="train")
@cli.one_line
def _train(config: DictConfig) -> None:
    # what is slow to import comes after the config is known to be good
    from hydra.core.hydra_config import HydraConfig

    from counterfoil.run.train import train

    hydra_config = HydraConfig.get()
    train(config, Path(hydra_config.runtime.output_dir), list(hydra_config.overrides.task))


@hydra.main(version_base="1.3", config_path=CONFIGS, config_name="evaluate")
@cli.one_line
def _evaluate(config: DictConfig) -> None:
    from hydra.core.hydra_config import HydraConfig

    from counterfoil.run.study import run_job

    hydra_config = HydraConfig.get()
    run_job(
        config,
        Path(hydra_config.runtime.output_dir),
        hydra_config.runtime.choices,
        list(hydra_config.overrides.task),
    )


def train() -> None:
    """Trains the models that a config names; the words are those of the command line."""
    cli.run(_train, Path(CONFIGS))


def evaluate() -> None:
    """Explains queries, scores, reports; the words are those of the command line."""
    cli.run(_evaluate, Path(CONFIGS))
