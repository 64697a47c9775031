"""What train.py does once its config is composed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from counterfoil.core.errors import UserError
from counterfoil.run import needs
from counterfoil.run.models import Models
from counterfoil.run.options import check_options
from counterfoil.run.record import command_line
from counterfoil.run.store import Store
from counterfoil.run.training import train_all
from counterfoil.util.build import build, plain
from counterfoil.util.loggers import close


def train(config: DictConfig, run_dir: Path) -> list[Path]:
    """Train every model that the config names; returns their folders."""
    node: dict[str, Any] = plain(config)
    check_options(node)
    nodes = needs.for_training(node)
    if not nodes:
        raise UserError(
            "nothing to train: choose a model, such as classifier=cnn or generative=vae, or experiment=demo"
        )
    if node["threads"]:
        torch.set_num_threads(node["threads"])
    models = Models(Store(Path(node["store"]).expanduser()), node["data"])
    if not models.data.labelled:
        raise UserError(
            f"data={models.data.name} has no labels, so nothing can be trained on it; choose data=folder or another set"
        )
    models.data.setup()
    logger = build(node["logger"], where="logger", save_dir=str(run_dir))
    try:
        return train_all(
            nodes, models, node["trainer"], logger, overwrite=node["overwrite"], command=command_line()
        )
    finally:
        close(logger)
