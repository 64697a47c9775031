"""Trains a classifier by distance: kernels near 1 for the own class, near 0 for others, slopes bounded."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.classifier.outlier import report_auroc
from counterfoil.classifier.training import ClassifierTraining, augment
from counterfoil.core.bounds import Count, Decay, Weight
from counterfoil.core.errors import UserError
from counterfoil.data.base import Batch


class DuqTraining(ClassifierTraining):
    """BCE(K, one-hot) + l_gp (||grad_x sum_c K_c|| - 1)^2, centroids by moving averages after each step.

    Args:
        net: a `DUQ`.
        l_gp: weight of the two-sided penalty; the gradient is that at the normalised input.
        penalised: images of each batch that the penalty is measured on, its most costly part.
        gamma: of the moving averages, in [0, 1).
        others: see `ClassifierTraining`; `multilabel` and `label_smoothing` do not apply.

    Departures: AdamW under one cycle, as for every model here; the paper's is SGD. The paper penalises the
    whole batch.
    Source: Uncertainty Estimation Using a Single Deep Deterministic Neural Network (van Amersfoort et al.,
    2020), arXiv 2003.02037
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        l_gp: Weight = 0.05,
        penalised: Count = 32,
        gamma: Decay = 0.99,
        **options: Any,
    ) -> None:
        super().__init__(net, **options)
        if self.multilabel or self.label_smoothing:
            raise UserError(
                "classifier=duq: multilabel and label_smoothing do not apply to kernels; for one attribute "
                "set attribute=NAME instead"
            )
        self.l_gp = l_gp
        self.penalised = penalised
        self.gamma = gamma
        self._seen: tuple[Tensor, Tensor] | None = None

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """One step; random shifts and flips are drawn from the global generator."""
        x = (augment(batch.x, self.shift, self.flip) - self.mean) / self.std
        loss, accuracy = self._measure(self.net(x), batch)
        penalty = self._penalty(x[: self.penalised]) if self.l_gp else loss.new_zeros(())
        self.report("train", {"loss": loss, "accuracy": accuracy, "penalty": penalty}, len(x))
        self._seen = (x, batch.y)
        return loss + self.l_gp * penalty

    def on_train_batch_end(self, *_: Any) -> None:
        """Move the centroids to where the weights of this step put the batch, in eval mode."""
        assert self._seen is not None
        x, labels = self._seen
        net: Any = self.net.eval()
        with torch.no_grad():
            net.head.update_(net.pool(net.blocks(x)), labels, self.gamma)
        net.train()

    def on_test_epoch_end(self) -> None:
        """Log the calibration error, and how well the distance tells test images from outliers."""
        super().on_test_epoch_end()
        report_auroc(self)

    def _penalty(self, x: Tensor) -> Tensor:
        x = (
            x.clone().requires_grad_()
        )  # in training mode, else the penalty pulls the moving statistics' network away from the batches'
        return gradient_penalty(self.net(x), x)

    def _measure(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        return kernel_loss(outputs, batch.y), (outputs.argmax(1) == batch.y).float().mean()


def kernel_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross-entropy between K = exp(logits), logits (B, K) <= 0, and the one-hot labels (B,)."""
    distance = (-logits.float()).clamp(min=1e-6)  # at 0 the logarithm of 1 - K has no value
    own = F.one_hot(labels, logits.shape[1]).bool()
    return torch.where(own, distance, -torch.log(-torch.expm1(-distance))).mean()


def gradient_penalty(logits: Tensor, x: Tensor) -> Tensor:
    """mean_i (||grad_{x_i} sum_c exp(logits_ic)|| - 1)^2, differentiable in the weights.

    `x` (B, ...) requires grad.
    """
    (gradient,) = torch.autograd.grad(logits.exp().sum(), x, create_graph=True)
    norm: Tensor = gradient.flatten(1).float().norm(dim=1)
    return (norm - 1).square().mean()
