"""What a training that was cut off goes on from: two whole checkpoints, saved when a signal asks, too."""

from __future__ import annotations

import io
import random
import warnings
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from torch import nn
from torch.utils.data import Sampler

from counterfoil.core.errors import CounterfoilWarning, first_line
from counterfoil.core.whole import whole
from counterfoil.util import signals, together

LAST, BEFORE = "last.ckpt", "before.ckpt"
"""The checkpoints of a training: the newest, and the one before it."""
T = TypeVar("T")


class TwoWhole(TorchCheckpointIO):
    """Writes a checkpoint beside its place, keeps the one before, and never unpickles code."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a file whole; the one that was there is called `BEFORE` from then on."""
        path = Path(path)
        content = io.BytesIO()
        torch.save(checkpoint, content)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as partial:
            partial.write_bytes(content.getbuffer())
            if path.name == LAST and path.is_file():
                path.replace(path.with_name(BEFORE))

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read a file without unpickling code."""
        loaded: dict[str, Any] = torch.load(path, map_location=map_location or "cpu", weights_only=True)
        return loaded


def resume_from(folder: Path, module: nn.Module) -> Path | None:
    """The newest whole checkpoint of this module in a folder; damaged ones are set aside with a warning."""
    files = [folder / name for name in (LAST, BEFORE) if (folder / name).is_file()]
    for i, file in enumerate(files):
        problem = damage(file, module)
        if problem is None:
            return file
        aside = file.replace(file.with_suffix(".damaged"))
        goes_on = f"tries {files[i + 1].name}, the one before" if files[i + 1 :] else "starts anew"
        warnings.warn(
            f"{file} is damaged ({problem}) and set aside as {aside.name}; the training {goes_on}",
            CounterfoilWarning,
            stacklevel=2,
        )
    return None


def damage(file: Path, module: nn.Module) -> str | None:
    """What keeps a module from going on from a checkpoint, or None; every byte of the content is read."""
    try:
        with zipfile.ZipFile(file) as archive:
            broken = archive.testzip()
        if broken:
            return f"{broken} is not what was written"
        held = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        return first_line(error)
    if not isinstance(held, dict) or not {"state_dict", "loops", "epoch", "optimizer_states"} <= held.keys():
        return "no checkpoint of a training"
    shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    if {name: tuple(value.shape) for name, value in held["state_dict"].items()} != shapes:
        return "of another network"
    return None


class Resumable(Sampler[T]):
    """Batches of an epoch that are a function of the epoch alone; it may begin with a later one, once.

    Of several processes at a training each is dealt its own rows of every batch.
    """

    first = 0
    """The batch that the next epoch begins with."""

    def _batches(self) -> Iterator[T]:
        """All batches of the epoch."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[T]:
        first, self.first = self.first, 0
        yield from together.dealt(islice(self._batches(), first, None))


class SaveWhenAsked(pl.Callback):
    """Ends a training at a signal: between two steps, and saved, so that it goes on with the next step.

    It is saved within an epoch where the batches are `Resumable`; else the training goes on from the last
    whole epoch. A signal in the validation waits for its end. Of several processes all end at the same step,
    whichever is told to.

    Args:
        path: of the checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.drawn: dict[str, Any] = {}

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Take the signals back from Lightning; let the epoch begin where it was left."""
        signals.listen_again()
        done = trainer.fit_loop.epoch_loop.batch_progress.current.completed
        if self.drawn and 0 < done < trainer.num_training_batches:
            self._sampler(trainer).first = done
        else:
            self.drawn = {}

    def on_test_start(self, trainer: Any, pl_module: Any) -> None:
        """Take the signals back from Lightning."""
        signals.listen_again()

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Between epochs everything is saved already."""
        _end_if_asked()

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Go on drawing where it was left; save and end where a signal asks for it."""
        if self.drawn:
            _draw_on(self.drawn["ranks"][together.rank()] if "ranks" in self.drawn else self.drawn)
            self.drawn = {}
        number = together.highest(signals.requested() or 0)
        if number:
            if batch_idx and isinstance(self._sampler(trainer), Resumable):
                drawn = together.gathered([_drawn()])
                self.drawn = drawn[0] if len(drawn) == 1 else {"ranks": drawn}
                trainer.save_checkpoint(self.path)
            raise signals.Stopped(number)

    def state_dict(self) -> dict[str, Any]:
        """Where the random generators stand, where an epoch is cut off."""
        return self.drawn

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Reverse of `state_dict`."""
        self.drawn = dict(state_dict)

    @staticmethod
    def _sampler(trainer: Any) -> Any:
        return getattr(trainer.train_dataloader, "sampler", None)


def _end_if_asked() -> None:
    number = together.highest(signals.requested() or 0)
    if number:
        raise signals.Stopped(number)


def _drawn() -> dict[str, Any]:
    """The states of all generators that `util.seed` seeds, as tensors and plain values."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": [kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _draw_on(drawn: dict[str, Any]) -> None:
    version, internal, gauss = drawn["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *rest = drawn["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(drawn["torch"])
    if drawn["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(drawn["cuda"])
