"""Trains any classifier network: multi-class, or one head per attribute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_calibration_error

from counterfoil.classifier.base import per_channel
from counterfoil.core.bounds import Positive, Share, Whole
from counterfoil.core.errors import UserError
from counterfoil.data.base import Batch, ImageData, half_of
from counterfoil.util import together
from counterfoil.util.training import Training


class ClassifierTraining(Training):
    """Cross-entropy (multi-class) or binary cross-entropy (one output per attribute).

    Logs accuracy and calibration error.
    Args:
        net: maps normalised inputs (B, C, H, W) to outputs (B, K), or (B, A) with `multilabel`.
        mean, std: the normalisation that the explained `Classifier` uses too.
        label_smoothing: share of the target spread over all classes, in [0, 1).
        multilabel: learn every attribute of the data instead of the labels.
        shift: largest random shift in pixels while training.
        flip: mirror half of the training images.
        half: train on this one of two fixed halves of the training images, classes in proportion, so that a
            judge shares no image with the classifier; None: on all.
        others: see `Training`.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        net: nn.Module,
        *,
        mean: float | Sequence[float] = 0.0,
        std: Positive | Sequence[Positive] = 1.0,
        label_smoothing: Share = 0.0,
        multilabel: bool = False,
        shift: Whole = 0,
        flip: bool = False,
        half: Literal["first", "second"] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(net, **options)
        self.register_buffer("mean", per_channel(mean), persistent=False)
        self.register_buffer("std", per_channel(std, "std"), persistent=False)
        self.label_smoothing = label_smoothing
        self.multilabel = multilabel
        self.shift = shift
        self.flip = flip
        self.part = half  # a module has a method of that name
        self.outputs: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Tensor) -> Tensor:
        """Raw outputs of inputs (B, C, H, W) in [0, 1]."""
        outputs: Tensor = self.net((x - self.mean) / self.std)
        return outputs

    def prepare(self, data: ImageData) -> ImageData:
        """The data, with the half of the training images that is trained on."""
        given: ImageData = super().prepare(data)
        if self.part is None:
            return given
        return given.with_train(half_of(given.train, self.part, given.seed))

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """One step; random shifts and flips are drawn from the global generator."""
        x = augment(batch.x, self.shift, self.flip)
        loss, accuracy = self._measure(self(x), batch)
        self.report("train", {"loss": loss, "accuracy": accuracy}, len(x))
        return loss

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Collect outputs, so that calibration is measured over the whole split at once."""
        self._evaluate("val", batch)

    def test_step(self, batch: Batch, _index: int) -> None:
        """The same on the test split."""
        self._evaluate("test", batch)

    def on_validation_epoch_end(self) -> None:
        """Log the calibration error."""
        self._calibration("val")

    def on_test_epoch_end(self) -> None:
        """Log the calibration error."""
        self._calibration("test")

    def _evaluate(self, stage: str, batch: Batch) -> None:
        outputs = self(batch.x)
        loss, accuracy = self._measure(outputs, batch)
        self.report(stage, {"loss": loss, "accuracy": accuracy}, len(batch.x))
        self.outputs.append((outputs.detach().float().cpu(), batch.y.cpu()))

    def _calibration(self, stage: str) -> None:
        outputs, labels = (torch.cat(parts) for parts in zip(*together.gathered(self.outputs), strict=True))
        self.outputs.clear()
        if not self.multilabel:
            error = multiclass_calibration_error(
                outputs.softmax(1), labels, num_classes=outputs.shape[1], n_bins=15
            )
            self.report(stage, {"ece": error.to(self.device)}, len(labels))

    def _measure(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        if not self.multilabel:
            loss = F.cross_entropy(outputs, batch.y, label_smoothing=self.label_smoothing)
            return loss, (outputs.argmax(1) == batch.y).float().mean()
        if batch.a is None:
            raise UserError(
                "classifier.training.multilabel=true needs data with attributes, such as data=avatars or "
                "data=celeba"
            )
        smooth = batch.a * (1 - self.label_smoothing) + self.label_smoothing / 2
        loss = F.binary_cross_entropy_with_logits(outputs, smooth)
        return loss, ((outputs > 0) == (batch.a > 0.5)).float().mean()


def augment(x: Tensor, shift: int, flip: bool) -> Tensor:
    """Move each batch by up to `shift` pixels and mirror it half of the time; edges repeat."""
    if shift:
        dy, dx = torch.randint(0, 2 * shift + 1, (2,)).tolist()
        x = F.pad(x, (shift,) * 4, mode="replicate")[..., dy : dy + x.shape[-2], dx : dx + x.shape[-1]]
    if flip:
        mirrored = torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5
        x = torch.where(mirrored, x.flip(-1), x)
    return x
