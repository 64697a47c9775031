"""Trains a generative model that has a loss of its own, and logs its images."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.core.bounds import Whole
from counterfoil.data.base import Batch
from counterfoil.util.pictures import log_grid
from counterfoil.util.training import Training


class GenerativeTraining(Training):
    """Minimises `net.loss(x, condition)`; logs its terms, the reconstruction error and pictures.

    Args:
        net: has `loss`, `encode`, `decode`, `latent`; with `classes` > 0 it is given one-hot labels.
        pictures: number of reconstructed validation images, and of samples, logged after each validation.
        others: see `Training`.
    """

    def __init__(self, net: nn.Module, *, pictures: Whole = 16, **options: Any) -> None:
        super().__init__(net, **options)
        self.pictures = pictures

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """One step on all terms."""
        terms: dict[str, Tensor] = self.net.loss(batch.x, self._condition(batch.y))  # type: ignore[operator]
        self.report("train", {key: value.detach() for key, value in terms.items()}, len(batch.x))
        return terms["loss"]

    def validation_step(self, batch: Batch, index: int) -> None:
        """Loss terms and reconstruction L1; pictures of the first batch."""
        self._evaluate("val", batch)
        if index == 0 and self.pictures:
            self._show(batch)

    def test_step(self, batch: Batch, _index: int) -> None:
        """The same on the test split."""
        self._evaluate("test", batch)

    def _evaluate(self, stage: str, batch: Batch) -> None:
        condition = self._condition(batch.y)
        terms: dict[str, Tensor] = self.net.loss(batch.x, condition)  # type: ignore[operator]
        terms["l1"] = (self._reconstruct(batch.x, condition) - batch.x).abs().mean()
        self.report(stage, terms, len(batch.x))

    def _show(self, batch: Batch) -> None:
        x, condition = batch.x[: self.pictures], self._condition(batch.y[: self.pictures])
        latent: int = self.net.latent  # type: ignore[assignment]
        z = torch.randn(len(x), latent, generator=torch.Generator().manual_seed(0))
        samples = self.net.decode(z.to(x), condition)  # type: ignore[operator]
        rows = torch.stack((x, self._reconstruct(x, condition), samples)).flatten(0, 1)
        log_grid(self, f"{self.name}/images, reconstructions, samples", rows, columns=len(x))

    def _reconstruct(self, x: Tensor, condition: Tensor | None) -> Tensor:
        image: Tensor = self.net.decode(self.net.encode(x, condition), condition)  # type: ignore[operator]
        return image

    def _condition(self, labels: Tensor) -> Tensor | None:
        classes = int(getattr(self.net, "classes", 0))
        return F.one_hot(labels, classes).float() if classes else None


class AutoencoderTraining(Training):
    """Minimises `net.loss(x, labels)` of class auto-encoders; logs both errors.

    Args:
        net: a `ClassAutoencoders`; others see `Training`.
    """

    leaves_out = True

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """One step of all experts that have an image in the batch."""
        terms: dict[str, Tensor] = self.net.loss(batch.x, batch.y)  # type: ignore[operator]
        self.report("train", {key: value.detach() for key, value in terms.items()}, len(batch.x))
        return terms["loss"]

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Both errors."""
        self.report("val", self.net.loss(batch.x, batch.y), len(batch.x))  # type: ignore[operator]

    def test_step(self, batch: Batch, _index: int) -> None:
        """Both errors on the test split."""
        self.report("test", self.net.loss(batch.x, batch.y), len(batch.x))  # type: ignore[operator]
