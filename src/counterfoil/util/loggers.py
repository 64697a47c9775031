"""Loggers by name; each is given the run folder."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from counterfoil.core.errors import UserError


def wandb_logger(save_dir: str, project: str = "counterfoil", mode: str = "auto", **options: Any) -> Any:
    """A quiet W&B logger; `mode` auto is online where a key is set and offline elsewhere."""
    import wandb
    from pytorch_lightning.loggers import WandbLogger

    if mode not in ("auto", "online", "offline", "disabled"):
        raise UserError(f"logger.mode={mode} is not known; choose auto, online, offline or disabled")
    mode = (
        os.environ.get("WANDB_MODE", "online" if os.environ.get("WANDB_API_KEY") else "offline")
        if mode == "auto"
        else mode
    )
    settings = wandb.Settings(
        silent=True,
        console="off",
        x_disable_stats=True,
        disable_git=True,
        disable_code=True,
        x_disable_meta=True,
        mode=mode,  # type: ignore[arg-type]
    )
    Path(save_dir).mkdir(parents=True, exist_ok=True)
    return WandbLogger(
        project=project, save_dir=save_dir, offline=mode != "online", settings=settings, **options
    )


def csv_logger(save_dir: str) -> Any:
    """Metrics as `metrics.csv`, pictures as PNG files beside it."""
    from pytorch_lightning.loggers import CSVLogger

    return CSVLogger(save_dir=save_dir, name="csv", version="")


def tensorboard_logger(save_dir: str) -> Any:
    """TensorBoard events; an optional package."""
    from pytorch_lightning.loggers import TensorBoardLogger

    if find_spec("tensorboard") is None and find_spec("tensorboardX") is None:
        raise UserError(
            "logger=tensorboard needs the package tensorboard: pip install tensorboard, or choose logger=csv"
        )
    return TensorBoardLogger(save_dir=save_dir, name="tensorboard", version="")


def no_logger(save_dir: str) -> Any:
    """Nothing is logged."""
    return False


def close(logger: Any) -> None:
    """End the run, so that a multirun has one closed run per job."""
    if logger and type(logger).__name__ == "WandbLogger":
        import wandb

        wandb.finish()
    elif logger:
        logger.finalize("success")
