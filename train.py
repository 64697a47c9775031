"""Trains the models that a config names:  python train.py classifier=cnn   (see --help, conf/train.yaml)."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from counterfoil.util import cli


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
@cli.one_line
def main(config: DictConfig) -> None:
    """Hydra's entry; what is slow to import comes after the config is known to be good."""
    from hydra.core.hydra_config import HydraConfig

    from counterfoil.run.train import train

    hydra_config = HydraConfig.get()
    train(config, Path(hydra_config.runtime.output_dir), list(hydra_config.overrides.task))


if __name__ == "__main__":
    cli.run(main, Path(__file__).parent / "conf")
