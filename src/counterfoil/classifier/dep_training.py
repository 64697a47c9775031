"""Trains a classifier together with the prediction of its own loss."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.classifier.outlier import report_auroc
from counterfoil.classifier.training import ClassifierTraining, augment
from counterfoil.core.errors import UserError
from counterfoil.data.base import Batch
from counterfoil.data.corruption import blur, paint_square


class DepTraining(ClassifierTraining):
    """CE + beta L_aux, where L_aux ranks the predicted losses as the true ones: see `ranking_loss`.

    Args:
        net: a `DEP`.
        beta: weight of the ranking.
        gamma: margin of the ranking, > 0.
        corrupted: show half of the training images occluded or blurred: on clean images alone every loss is small, and the
            prediction says nothing about inputs of another kind.
        others: see `ClassifierTraining`; `multilabel` and `label_smoothing` do not apply.

    Source: Learning Loss for Active Learning (Yoo and Kweon, 2019), arXiv 1905.03677; occlusion and blur are ours.
    """

    def __init__(self, net: nn.Module, *, beta: float = 0.1, gamma: float = 1.0, corrupted: bool = True, **options: Any) -> None:
        super().__init__(net, **options)
        if self.multilabel or self.label_smoothing:
            raise UserError("classifier=dep: multilabel and label_smoothing do not apply; for one attribute set attribute=NAME instead")
        if self.batch_size < 2:
            raise UserError("classifier.training.batch_size=1: losses are ranked within a batch, expected at least 2 images")
        self.beta = beta
        self.gamma = gamma
        self.corrupted = corrupted

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """One step; shifts, flips and corruptions are drawn from the global generator."""
        x = augment(batch.x, self.shift, self.flip)
        x = corrupt(x) if self.corrupted else x
        net: Any = self.net
        logits, predicted = net.both((x - self.mean) / self.std)
        losses = F.cross_entropy(logits, batch.y, reduction="none")
        ranking = ranking_loss(predicted, losses, self.gamma)
        accuracy = (logits.argmax(1) == batch.y).float().mean()
        self.report("train", {"loss": losses.mean(), "accuracy": accuracy, "ranking": ranking}, len(x))
        return losses.mean() + self.beta * ranking

    def on_test_epoch_end(self) -> None:
        """Log the calibration error, and how well the predicted loss tells test images from what is none."""
        super().on_test_epoch_end()
        report_auroc(self)


def ranking_loss(predicted: Tensor, losses: Tensor, gamma: float) -> Tensor:
    """mean over pairs (k, B-1-k) of max(0, -sgn(s_i - s_j) (e_i - e_j) + gamma), for predicted e (B,) and true s (B,), s detached.

    A pair of equal losses costs the margin and teaches nothing; the middle one of an odd batch has no partner.
    """
    half = len(losses) // 2
    truth = (losses - losses.flip(0))[:half].detach().sign()
    return (gamma - truth * (predicted - predicted.flip(0))[:half]).clamp(min=0).mean()


def corrupt(x: Tensor) -> Tensor:
    """A quarter of the images (B, C, H, W) with a square of any brightness, a quarter blurred, the others as they are."""
    rows = len(x)
    value = torch.rand(rows, x.shape[1], 1, 1)
    squared = paint_square(x, 0.2 + 0.4 * torch.rand(rows), value)
    blurred = blur(x, (0.5 + 2.5 * float(torch.rand(()))) * x.shape[-1] / 28)
    kind = torch.rand(rows, 1, 1, 1).to(x)
    return torch.where(kind < 0.25, squared, torch.where(kind < 0.5, blurred, x))
