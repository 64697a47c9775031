"""Trains a diffusion model, keeps the moving average of its weights, and logs what it draws."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from counterfoil.core.bounds import Count, Decay, Whole
from counterfoil.data.base import Batch
from counterfoil.generative.diffusion.network import Diffusion
from counterfoil.util.pictures import log_grid
from counterfoil.util.training import Training


class DiffusionTraining(Training):
    """Minimises the error of the noise that the network tells in noisy images.

    The weights that are kept, validated and tested are a moving average of those that are trained.

    Args:
        net: a `Diffusion`.
        decay: of the average per step; smaller in the first steps.
        pictures: images drawn from noise and logged after each validation.
        sampling: steps in which they are drawn.
        others: see `Training`.

    Source: Denoising Diffusion Probabilistic Models (Ho, Jain and Abbeel, 2020), arXiv 2006.11239.
    """

    net: Diffusion

    def __init__(
        self,
        net: Diffusion,
        *,
        decay: Decay = 0.995,
        pictures: Whole = 16,
        sampling: Count = 50,
        **options: Any,
    ) -> None:
        super().__init__(net, **options)
        self.average: Any = copy.deepcopy(net).eval().requires_grad_(False)
        self.decay = decay
        self.pictures = pictures
        self.sampling = sampling

    def loss(self, net: Any, batch: Batch, draw: torch.Generator | None = None) -> dict[str, Tensor]:
        """The terms of a net on a batch."""
        terms: dict[str, Tensor] = net.loss(batch.x, draw)
        return terms

    def drawn(self, net: Any, draw: torch.Generator) -> Tensor:
        """Images (N, C, H, W) in [0, 1] that a net draws from noise."""
        noise = torch.randn(self.pictures, net.channels, net.size, net.size, generator=draw)
        images: Tensor = net.sample(noise.to(self.device), self.sampling, draw)
        return images

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """One step on noise drawn from the global generator."""
        terms = self.loss(self.net, batch)
        self.report("train", {key: value.detach() for key, value in terms.items()}, len(batch.x))
        return terms["loss"]

    @torch.no_grad()
    def on_train_batch_end(self, _outputs: Any, _batch: Batch, _index: int) -> None:
        """Move the average."""
        done = self.global_step
        share = 1 - min(self.decay, (1 + done) / (10 + done))
        for own, new in zip(self.average.parameters(), self.net.parameters(), strict=True):
            own.lerp_(new, share)

    def on_train_end(self) -> None:
        """Keep the average."""
        self.net.load_state_dict(self.average.state_dict())

    def validation_step(self, batch: Batch, index: int) -> None:
        """The loss of the average on the same noise each time; pictures beside the first batch."""
        self._evaluate("val", batch, index)
        if index == 0 and self.pictures:
            self._show()

    def test_step(self, batch: Batch, index: int) -> None:
        """The same on the test split."""
        self._evaluate("test", batch, index)

    def _evaluate(self, stage: str, batch: Batch, index: int) -> None:
        terms = self.loss(self.average, batch, torch.Generator().manual_seed(index))
        self.report(stage, terms, len(batch.x))

    def _show(self) -> None:
        if not self.loggers or self.trainer.sanity_checking:
            return
        drawn = self.drawn(self.average, torch.Generator().manual_seed(0))
        log_grid(self, f"{self.name}/samples", drawn, columns=min(self.pictures, 8))
