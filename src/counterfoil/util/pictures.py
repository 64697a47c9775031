"""Sends a grid of images to the loggers in use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


def log_grid(module: Any, key: str, images: Tensor, columns: int) -> None:
    """Log images (N, C, H, W) in [0, 1] of a LightningModule's step as one grid."""
    if module.loggers and not module.trainer.sanity_checking:
        pixels = to_grid(images, columns)
        for logger in module.loggers:
            log_picture(logger, key, pixels, step=module.global_step)


def to_grid(images: Tensor, columns: int) -> np.ndarray:
    """Tile (N, C, H, W) in [0, 1] row by row into one uint8 array (rows * H, columns * W, C or 3)."""
    n, channels, height, width = images.shape
    rows = -(-n // columns)
    padded = torch.cat((images, images.new_zeros(rows * columns - n, channels, height, width)))
    tiles = (
        padded.view(rows, columns, channels, height, width)
        .permute(0, 3, 1, 4, 2)
        .reshape(rows * height, columns * width, channels)
    )
    pixels: np.ndarray = (tiles.detach().float().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return pixels.repeat(3, axis=2) if channels == 1 else pixels


def log_picture(logger: Any, key: str, pixels: np.ndarray, step: int | None = None) -> None:
    """Log one uint8 picture (H, W, 3): to W&B and TensorBoard as an image, beside a CSV log as a PNG file."""
    kind = type(logger).__name__
    if kind == "WandbLogger":
        logger.log_image(key, [pixels])
    elif kind == "TensorBoardLogger":
        logger.experiment.add_image(key, pixels, step, dataformats="HWC")
    elif kind == "CSVLogger":
        from PIL import Image

        folder = Path(logger.log_dir) / "images"
        folder.mkdir(parents=True, exist_ok=True)
        name = "".join(c if c.isalnum() else "-" for c in key)
        Image.fromarray(pixels).save(folder / f"{name}-{step or 0:06d}.png")
