"""Trains a classifier together with the prediction of its own loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.classifier.outlier import report_auroc
from counterfoil.classifier.training import ClassifierTraining, augment
from counterfoil.core.bounds import Weight
from counterfoil.core.errors import UserError
from counterfoil.data.base import Batch
from counterfoil.data.corruption import blur, paint_square


def _squared(x: Tensor) -> Tensor:
    return paint_square(x, 0.2 + 0.4 * torch.rand(len(x)), torch.rand(len(x), x.shape[1], 1, 1))


def _blurred(x: Tensor) -> Tensor:
    return blur(x, (0.5 + 2.5 * float(torch.rand(()))) * x.shape[-1] / 28)


def _noisy(x: Tensor) -> Tensor:
    sigma = 0.1 + 0.6 * torch.rand(len(x), 1, 1, 1)
    return (x + (sigma * torch.randn(x.shape)).to(x)).clamp(0, 1)


KINDS = {"square": _squared, "blur": _blurred, "noise": _noisy}
"""Squares of any brightness, Gaussian blur and Gaussian noise, each of varying strength."""


class DepTraining(ClassifierTraining):
    """CE on clean images + beta L_aux, where L_aux ranks the predicted losses; see `ranking_loss`.

    Args:
        net: a `DEP`.
        beta: weight of the ranking.
        gamma: margin of the ranking, > 0.
        corrupted: what half of the training images are shown as, any of "square", "blur" and "noise", for the
            ranking alone; the classes are learnt from the others. Empty: every loss is small, and the
            prediction says nothing about other inputs.
        others: see `ClassifierTraining`; `multilabel` and `label_smoothing` do not apply.

    Departures: the source ranks clean images. The classes are not learnt from corrupted ones, as a network
    that withstands them has no larger loss there to predict.
    Source: Learning Loss for Active Learning (Yoo and Kweon, 2019), arXiv 1905.03677
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        beta: Weight = 0.1,
        gamma: Weight = 1.0,
        corrupted: Sequence[str] = tuple(KINDS),
        **options: Any,
    ) -> None:
        super().__init__(net, **options)
        if self.multilabel or self.label_smoothing:
            raise UserError(
                "classifier=dep: multilabel and label_smoothing do not apply; for one attribute set "
                "attribute=NAME instead"
            )
        if self.batch_size < 2:
            raise UserError(
                "classifier.training.batch_size=1: losses are ranked within a batch, expected at least 2 "
                "images"
            )
        for kind in corrupted:
            if kind not in KINDS:
                raise UserError(
                    f"classifier.training.corrupted: {kind} is not known; choose any of: {', '.join(KINDS)}, "
                    "or [] for none"
                )
        self.beta = beta
        self.gamma = gamma
        self.corrupted = tuple(corrupted)

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """One step; shifts, flips and corruptions are drawn from the global generator."""
        x, clean = corrupt(augment(batch.x, self.shift, self.flip), self.corrupted)
        net: Any = self.net
        logits, predicted = net.both((x - self.mean) / self.std)
        losses = F.cross_entropy(logits, batch.y, reduction="none")
        loss, accuracy = (
            _mean_over(clean, values) for values in (losses, (logits.argmax(1) == batch.y).float())
        )
        ranking = ranking_loss(predicted, losses, self.gamma)
        self.report("train", {"loss": loss, "accuracy": accuracy, "ranking": ranking}, len(x))
        return loss + self.beta * ranking

    def on_test_epoch_end(self) -> None:
        """Log the calibration error, and how well the predicted loss tells test images from outliers."""
        super().on_test_epoch_end()
        report_auroc(self)


def ranking_loss(predicted: Tensor, losses: Tensor, gamma: float) -> Tensor:
    """mean over pairs (k, B-1-k) of max(0, -sgn(s_i - s_j) (e_i - e_j) + gamma).

    e (B,) is predicted, s (B,) true and detached. A pair of equal losses costs the margin and teaches
    nothing; the middle one of an odd batch has no partner.
    """
    half = len(losses) // 2
    truth = (losses - losses.flip(0))[:half].detach().sign()
    return (gamma - truth * (predicted - predicted.flip(0))[:half]).clamp(min=0).mean()


def corrupt(x: Tensor, kinds: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Half of the images (B, C, H, W) as one of `kinds`, drawn anew each.

    Also returns which are left as they are: bool (B,).
    """
    if not kinds:
        return x, torch.ones(len(x), dtype=torch.bool, device=x.device)
    made = torch.stack([x, *(KINDS[kind](x) for kind in kinds)])
    chosen = torch.randint(1, len(kinds) + 1, (len(x),)) * (torch.rand(len(x)) < 0.5)
    chosen = chosen.to(x.device)
    return made[chosen, torch.arange(len(x), device=x.device)], chosen == 0


def _mean_over(rows: Tensor, values: Tensor) -> Tensor:
    return (values * rows).sum() / rows.sum().clamp(min=1)
