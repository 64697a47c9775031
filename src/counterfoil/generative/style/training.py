"""Trains a style embedding to match two views of the same image."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.core.bounds import Positive, Weight, Whole
from counterfoil.data.base import Batch
from counterfoil.generative.style.network import retrieved, view
from counterfoil.util.training import Training


class StyleTraining(Training):
    """Normalised temperature-scaled cross-entropy (NT-Xent) between two views of each image of a batch.

    - mean_i log exp(e_i e_i' / tau) / sum_{j != i} exp(e_i e_j / tau), over both views of all images; see
    `view` for what a view leaves as it is.

    Args:
        net: a `Style`.
        temperature: tau.
        shift, margin, noise: see `view`.
        others: see `Training`.

    Departures: no projection head, AdamW, small batches; no flips, colours or scales, which change a digit's
    style.
    Source: A Simple Framework for Contrastive Learning of Visual Representations (Chen et al., 2020), arXiv
    2002.05709
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        temperature: Positive = 0.2,
        shift: Whole = 3,
        margin: Whole = 4,
        noise: Weight = 0.05,
        **options: Any,
    ) -> None:
        super().__init__(net, **options)
        self.temperature = temperature
        self.shift, self.margin, self.noise = shift, margin, noise

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """One step on two views, drawn from the global generator."""
        first, second = (self.net(self._view(batch.x)) for _ in range(2))
        loss = nt_xent(first, second, self.temperature)
        self.report("train", {"loss": loss}, len(batch.x))
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        """Loss, and the share of second views that are found among the batch."""
        self._evaluate("val", batch, index)

    def test_step(self, batch: Batch, index: int) -> None:
        """The same on the test split."""
        self._evaluate("test", batch, index)

    def _evaluate(self, stage: str, batch: Batch, index: int) -> None:
        draw = torch.Generator().manual_seed(index)
        first, second = (self.net(self._view(batch.x, draw)) for _ in range(2))
        loss, found = nt_xent(first, second, self.temperature), retrieved(first, second).float().mean()
        self.report(stage, {"loss": loss, "retrieval": found}, len(batch.x))

    def _view(self, x: Tensor, draw: torch.Generator | None = None) -> Tensor:
        return view(x, self.shift, self.margin, self.noise, draw)


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """The loss of embeddings (B, D) of length 1 of two views; see `StyleTraining`."""
    both = torch.cat((first, second))
    alike = (both @ both.T / temperature).fill_diagonal_(-torch.inf)
    other = torch.arange(len(both), device=both.device).roll(len(first))
    return F.cross_entropy(alike, other)
