"""Explains queries, scores, reports:  python evaluate.py explainer=all   (see --help, conf/evaluate.yaml)."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from counterfoil.util import cli


@hydra.main(version_base="1.3", config_path="conf", config_name="evaluate")
@cli.one_line
def main(config: DictConfig) -> None:
    """Hydra's entry; what is slow to import comes after the config is known to be good."""
    from hydra.core.hydra_config import HydraConfig

    from counterfoil.run.study import run_job

    hydra_config = HydraConfig.get()
    run_job(
        config,
        Path(hydra_config.runtime.output_dir),
        hydra_config.runtime.choices,
        list(hydra_config.overrides.task),
    )


if __name__ == "__main__":
    cli.run(main, Path(__file__).parent / "conf")
