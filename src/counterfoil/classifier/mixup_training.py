"""Trains a classifier on mixtures of two images, so that its posterior rises evenly from class to class."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.classifier.training import ClassifierTraining, augment
from counterfoil.core.bounds import Positive
from counterfoil.core.errors import UserError
from counterfoil.data.base import Batch


class MixupTraining(ClassifierTraining):
    """Every training image is mixed with another one of its batch; its label is both classes in proportion.

    x = m x_i + (1 - m) x_j,   L = m CE(f(x), y_i) + (1 - m) CE(f(x), y_j),   m ~ Beta(alpha, alpha)

    The posterior of real images spreads, and is mild between the classes, where one trained on the images as
    they are jumps.

    Args:
        net: see `ClassifierTraining`.
        alpha: of the Beta distribution; 1: every proportion is equally likely.
        others: see `ClassifierTraining`; `multilabel` is not supported.

    Departures: a proportion for each image, not for each batch.
    Source: mixup: Beyond Empirical Risk Minimization (Zhang et al., 2018), arXiv 1710.09412.

    Raises:
        UserError: with `multilabel`.
    """

    def __init__(self, net: nn.Module, *, alpha: Positive = 1.0, **options: Any) -> None:
        super().__init__(net, **options)
        if self.multilabel:
            raise UserError(
                "classifier.training: MixupTraining mixes classes; leave out multilabel=true, or choose "
                "classifier=cnn"
            )
        self.alpha = alpha

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """One step; shifts, flips, proportions and partners are drawn from the global generator."""
        x = augment(batch.x, self.shift, self.flip)
        share, partner = self._draw(x)
        outputs = self(torch.lerp(x[partner], x, share[:, None, None, None]))
        loss = self._mixed(outputs, batch.y, batch.y[partner], share)
        major = torch.where(share >= 0.5, batch.y, batch.y[partner])
        self.report("train", {"loss": loss, "accuracy": (outputs.argmax(1) == major).float().mean()}, len(x))
        return loss

    def _draw(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The share (B,) of each image in its mixture, and the place (B,) of the other one."""
        alpha = torch.full((len(x),), float(self.alpha))
        share = torch.distributions.Beta(alpha, alpha).sample().to(x)
        return share, torch.randperm(len(x), device=x.device)

    def _mixed(self, outputs: Tensor, one: Tensor, other: Tensor, share: Tensor) -> Tensor:
        losses = [
            F.cross_entropy(outputs, labels, reduction="none", label_smoothing=self.label_smoothing)
            for labels in (one, other)
        ]
        return (share * losses[0] + (1 - share) * losses[1]).mean()
