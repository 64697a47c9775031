"""Callbacks that watch a figure of the validation, whatever the model that is trained is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning import callbacks

from counterfoil.core.errors import UserError
from counterfoil.util.naming import file_name
from counterfoil.util.resuming import Resumable


def figure(monitor: str, model: str) -> str:
    """The whole name of a figure, `<model>/val/<monitor>`; one with a slash in it is whole."""
    return monitor if "/" in monitor else f"{model}/val/{monitor}"


def refuse_unmeasured(monitor: str | None, trainer: Any, name: str) -> None:
    """Refuse to watch what the validation does not measure."""
    measured = trainer.callback_metrics
    if monitor is None or monitor in measured or trainer.sanity_checking:
        return
    known = ", ".join(sorted(key.rpartition("/")[2] for key in measured if "/val/" in key)) or "none"
    raise UserError(
        f"callbacks.{name}.monitor={monitor.rpartition('/')[2]} is no figure of this model's validation; "
        f"choose of {known}"
    )


class EarlyStopping(callbacks.EarlyStopping):
    """Ends a training when `<model>/val/<monitor>` has not improved for `patience` validations.

    Args:
        monitor: the figure.
        options: of Lightning's `EarlyStopping`.
    """

    def __init__(self, monitor: str = "loss", **options: Any) -> None:
        super().__init__(monitor, **options)

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Take the name of the model."""
        self.monitor = figure(self.monitor, getattr(pl_module, "name", "model"))
        super().setup(trainer, pl_module, stage)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Look at the figure."""
        refuse_unmeasured(self.monitor, trainer, "early_stopping")
        super().on_validation_end(trainer, pl_module)


class ModelCheckpoint(callbacks.ModelCheckpoint):
    """Keeps the checkpoints of the epochs that are best by `<model>/val/<monitor>`, in `<dirpath>/<model>`.

    Args:
        dirpath: the folder of all models.
        monitor: the figure; None keeps the newest.
        options: of Lightning's `ModelCheckpoint`.
    """

    def __init__(self, dirpath: str | Path, monitor: str | None = "loss", **options: Any) -> None:
        named: dict[str, Any] = {"filename": "epoch={epoch:02d}", "auto_insert_metric_name": False}
        super().__init__(dirpath=dirpath, monitor=monitor, **(named | options))
        self._all = Path(dirpath)

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Take the name of the model."""
        name = getattr(pl_module, "name", "model")
        if self.monitor is not None:
            self.monitor = figure(self.monitor, name)
        self.dirpath = str(self._all / file_name(name, "name"))
        super().setup(trainer, pl_module, stage)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Look at the figure."""
        refuse_unmeasured(self.monitor, trainer, "model_checkpoint")
        super().on_validation_end(trainer, pl_module)


class SameBatches(callbacks.Callback):
    """Every epoch has the order of the first, for `overfit_batches`."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Hold the sampler at its epoch."""
        sampler = getattr(trainer.train_dataloader, "sampler", None)
        if isinstance(sampler, Resumable):
            sampler.set_epoch = lambda _epoch: None  # type: ignore[attr-defined]
