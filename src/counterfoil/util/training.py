"""What all trainings share: names of logged quantities, optimiser, schedule and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Positive, Weight, checks_options
from counterfoil.core.errors import UserError
from counterfoil.util import together
from counterfoil.util.finite import broken

LOSSES = ("loss", "l1")
"""Measured quantities with one of these in their name must be finite; others may be undefined."""


@checks_options
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

    leaves_out: bool = False
    """Whether a step may leave out a part of the net, which several processes must then look for."""

    def __init__(
        self,
        net: nn.Module,
        *,
        lr: Positive = 1e-3,
        weight_decay: Weight = 1e-4,
        epochs: Count = 10,
        batch_size: Count = 128,
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
        self._newest: dict[str, Tensor] = {}

    def prepare(self, data: Any) -> Any:
        """The data module to train on; a training with batches of its own wraps the `ImageData` given."""
        data.batch_size = self.batch_size
        return data

    def report(self, stage: str, values: dict[str, Tensor], rows: int) -> None:
        """Log quantities as `<model>/<stage>/<quantity>`, averaged over an epoch in validation and test.

        Of several processes the mean is over all of their rows.
        Those of a training step are the newest at the steps that are logged and at an epoch's last: to hand
        Lightning each of them costs as much as all else that it does around a step.
        """
        named = {f"{self.name}/{stage}/{key}": value for key, value in values.items()}
        if stage == "train":
            self._newest.update((name, value.detach()) for name, value in named.items())
            if not self._is_logged:
                return
            named, self._newest = self._newest, {}
        self.log_dict(
            named,
            on_step=stage == "train",
            on_epoch=stage != "train",
            prog_bar=stage == "val",
            batch_size=rows,
            sync_dist=together.size() > 1,
        )

    @property
    def _is_logged(self) -> bool:
        """Whether something reads what this step reports: loggers, or callbacks at the end of the epoch."""
        trainer = self.trainer
        return trainer.is_last_batch or trainer._logger_connector.should_update_logs

    def configure_optimizers(self) -> Any:
        """AdamW under a one-cycle schedule over all steps of the training."""
        optimizer = torch.optim.AdamW(self.net.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        steps = max(int(self.trainer.estimated_stepping_batches), 1)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step / steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Diverged(UserError):
    """A training whose loss or weights are not finite; nothing of it is worth keeping."""


class StopDiverged(pl.Callback):
    """Ends a training at the end of the epoch in which its loss or a weight ceases to be finite.

    Args:
        name: of the model, for people.
        path: of the model in the config, whose `training.lr` is to be lowered.
    """

    def __init__(self, name: str, path: str) -> None:
        self.name, self.path = name, path
        self._last: Tensor | None = None

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss of the step, where there is one."""
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        self._last = loss.detach() if isinstance(loss, Tensor) else None

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Check the last loss, before the epoch is saved."""
        last = {} if self._last is None else {"train/loss": float(together.averaged(self._last.mean()))}
        self.check(pl_module, trainer.callback_metrics | last)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Check what was measured."""
        if not trainer.sanity_checking:
            self.check(pl_module, trainer.callback_metrics)

    def check(self, module: Any, measured: Mapping[str, Any]) -> None:
        """Raise `Diverged` where a loss that was measured, or a weight of the module's net, is not finite."""
        for name, value in measured.items():
            last = name.rsplit("/", 1)[-1]
            if any(part in last for part in LOSSES) and not math.isfinite(float(value)):
                raise Diverged(self._say(module, f"{name} is {float(value):g}"))
        weight = broken(getattr(module, "net", module))
        if weight is not None:
            raise Diverged(self._say(module, f"NaN or infinite values in {weight}"))

    def _say(self, module: Any, found: str) -> str:
        lr = getattr(module, "lr", None)
        now = f", now {lr:g}" if isinstance(lr, int | float) else ""
        return (
            f"{self.name}: training diverged ({found}), nothing is kept; lower {self.path}.training.lr{now}"
        )


def one_cycle(progress: float, warm: float = 0.1) -> float:
    """Factor on the learning rate at `progress` in [0, 1]: linear up to `warm`, then a cosine to zero."""
    if progress < warm:
        return 0.04 + 0.96 * progress / warm
    return float(0.5 * (1 + torch.cos(torch.tensor(torch.pi * min((progress - warm) / (1 - warm), 1.0)))))
