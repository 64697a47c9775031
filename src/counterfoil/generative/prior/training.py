"""Trains the weights from which image priors are fitted in few steps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from counterfoil.core.bounds import Count, Probability, Seed
from counterfoil.data.base import Batch, EpochSampler, ImageData, Images
from counterfoil.generative.prior.start import PriorStart
from counterfoil.util.training import Training


class PriorStartTraining(Training):
    """Reptile: theta moves towards the weights that the networks of B images reach in k steps from theta.

    theta <- theta + lr * (mean_b Adam_k(theta; x_b) - theta),   lr falling linearly to 0

    Logs the steps to `psnr` from theta and from the prior's own draws, on `watched` images.

    Args:
        net: a `PriorStart`.
        inner: k, steps of Adam at the prior's rate on each image.
        steps: outer steps per epoch.
        psnr: decibels that are waited for.
        watched: images measured in validation and test.
        seed: of the order of the images.
        lr: of the outer step, in (0, 1].
        others: see `Training`.

    Source: On First-Order Meta-Learning Algorithms (Nichol et al., 2018), arXiv 1803.02999.
    """

    net: PriorStart

    def __init__(
        self,
        net: PriorStart,
        *,
        inner: Count = 24,
        steps: Count = 40,
        psnr: float = 28.0,
        watched: Count = 32,
        seed: Seed = 0,
        lr: Probability = 1.0,
        channels_last: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(net, lr=lr, channels_last=channels_last, **options)
        self.inner, self.steps, self.psnr, self.watched, self.seed = inner, steps, psnr, watched, seed

    def prepare(self, data: ImageData) -> LightningDataModule:
        """Batches of training images, `steps` per epoch; a single batch to validate and one to test."""
        return _Served(data, self.batch_size, self.steps, self.watched, self.seed)

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """A loss whose gradient leads from theta to the mean of the fitted weights."""
        start = self.net.stacked(len(batch.x))
        fitted = self.net.prior.fit(batch.x, start, steps=self.inner, psnr=torch.inf)
        self.report("train", {"psnr": fitted["psnr"].mean()}, len(batch.x))
        moves = [(value - fitted[name].mean(0)).square().sum() for name, value in self.net.theta.items()]
        return 0.5 * torch.stack(moves).sum()

    def configure_optimizers(self) -> Any:
        """Plain steps that shrink linearly over the training."""
        optimizer = torch.optim.SGD(self.net.parameters(), lr=self.lr)
        total = max(int(self.trainer.estimated_stepping_batches), 1)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / total)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Steps to the wanted PSNR."""
        self.report("val", self.measure(batch.x), len(batch.x))

    def test_step(self, batch: Batch, _index: int) -> None:
        """The same on test images."""
        self.report("test", self.measure(batch.x), len(batch.x))

    def measure(self, x: Tensor) -> dict[str, Tensor]:
        """Mean steps to `psnr` on images (B, C, H, W), from theta and from draws.

        Images that never reach it count the prior's limit.
        """
        with torch.inference_mode(False), torch.enable_grad():
            images = x.clone()
            untrained = PriorStart(self.net.shape[0], self.net.shape[1], self.net.prior).to(images)
            return {"steps": self._steps(self.net, images), "untrained_steps": self._steps(untrained, images)}

    def _steps(self, net: PriorStart, images: Tensor) -> Tensor:
        return net.prior.fit(images, net.stacked(len(images)), psnr=self.psnr)["fit_steps"].mean()


class _Shortened(EpochSampler):
    """The first batches of an epoch's order."""

    def __init__(self, length: int, batch_size: Count, steps: Count, seed: Seed) -> None:
        super().__init__(length, min(batch_size, length), seed=seed, drop_last=True)
        self.steps = steps

    def __len__(self) -> int:
        return min(super().__len__(), self.steps)

    def _batches(self) -> Iterator[list[int]]:
        return islice(super()._batches(), len(self))


class _Served(LightningDataModule):
    def __init__(self, data: ImageData, batch_size: Count, steps: Count, watched: Count, seed: Seed) -> None:
        super().__init__()
        self.data, self.batch_size, self.steps, self.watched, self.seed = (
            data,
            batch_size,
            steps,
            watched,
            seed,
        )

    def train_dataloader(self) -> Any:
        sampler = _Shortened(len(self.data.train), self.batch_size, self.steps, self.seed)
        return DataLoader(self.data.train, batch_size=None, sampler=sampler)

    def val_dataloader(self) -> Any:
        return self._one(self.data.val)

    def test_dataloader(self) -> Any:
        return self._one(self.data.test)

    def _one(self, images: Images) -> Any:
        rows = min(self.watched, len(images))
        return DataLoader(images, batch_size=None, sampler=_Shortened(rows, rows, 1, self.seed))
