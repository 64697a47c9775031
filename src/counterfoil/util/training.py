"""What all trainings share: names of logged quantities, optimiser, schedule and pictures."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn


class Training(pl.LightningModule):
    """Base of the modules that train a network; `net` is what is kept afterwards.

    Args:
        net: the network trained.
        lr: peak learning rate of AdamW; warmed up over the first tenth, then a cosine to zero.
        weight_decay: of AdamW.
        epochs, batch_size: read by the run, kept here so that a model's config holds all that made it.
        channels_last: memory layout of the network; faster convolutions on a CPU.
        name: prefix of everything logged, as one job may train several models.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        lr: float = 1e-3,
        weight_decay: float = 1e-4,
        epochs: int = 10,
        batch_size: int = 128,
        channels_last: bool = True,
        name: str = "model",
    ) -> None:
        super().__init__()
        if channels_last:
            net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.net = net
        self.lr = lr
        self.weight_decay = weight_decay
        self.epochs = epochs
        self.batch_size = batch_size
        self.name = name

    def prepare(self, data: Any) -> Any:
        """The data module to train on; a training with batches of its own wraps the `ImageData` given."""
        data.batch_size = self.batch_size
        return data

    def report(self, stage: str, values: dict[str, Tensor], rows: int) -> None:
        """Log quantities as `<model>/<stage>/<quantity>`, averaged over an epoch in validation and test."""
        named = {f"{self.name}/{stage}/{key}": value for key, value in values.items()}
        self.log_dict(
            named,
            on_step=stage == "train",
            on_epoch=stage != "train",
            prog_bar=stage == "val",
            batch_size=rows,
        )

    def configure_optimizers(self) -> Any:
        """AdamW under a one-cycle schedule over all steps of the training."""
        optimizer = torch.optim.AdamW(self.net.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        steps = max(int(self.trainer.estimated_stepping_batches), 1)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step / steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def one_cycle(progress: float, warm: float = 0.1) -> float:
    """Factor on the learning rate at `progress` in [0, 1]: linear up to `warm`, then a cosine to zero."""
    if progress < warm:
        return 0.04 + 0.96 * progress / warm
    return float(0.5 * (1 + torch.cos(torch.tensor(torch.pi * min((progress - warm) / (1 - warm), 1.0)))))
