"""Trains a classifier on images disturbed against it, so that small changes do not turn it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from counterfoil.classifier.training import ClassifierTraining, augment
from counterfoil.core.bounds import Positive
from counterfoil.data.base import Batch


class AdversarialTraining(ClassifierTraining):
    """One signed gradient step from a random start within a box around each image, then a step of training.

    delta ~ U(-epsilon, epsilon);  delta <- clip(delta + alpha sign grad L(x + delta), -epsilon, epsilon);
    the loss of clip(x + delta, 0, 1) is trained on.

    Args:
        net: see `ClassifierTraining`.
        epsilon: largest change of a pixel, images being in [0, 1].
        alpha: length of the step.
        others: see `ClassifierTraining`.

    Departures: AdamW under one cycle; the network is in training mode in both passes.
    Source: Fast is better than free: Revisiting adversarial training (Wong, Rice & Kolter, 2020), arXiv
    2001.03994
    """

    def __init__(
        self, net: nn.Module, *, epsilon: Positive = 0.3, alpha: Positive = 0.375, **options: Any
    ) -> None:
        super().__init__(net, **options)
        self.epsilon = epsilon
        self.alpha = alpha

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """One step; shifts, flips and random starts are drawn from the global generator."""
        x = augment(batch.x, self.shift, self.flip)
        loss, accuracy = self._measure(self(self._disturbed(x, batch)), batch)
        self.report("train", {"loss": loss, "accuracy": accuracy}, len(x))
        return loss

    def _disturbed(self, x: Tensor, batch: Batch) -> Tensor:
        """The images after the step against the network, in [0, 1]."""
        delta = torch.empty_like(x).uniform_(-self.epsilon, self.epsilon).requires_grad_()
        loss, _accuracy = self._measure(self((x + delta).clamp(0, 1)), batch)
        (gradient,) = torch.autograd.grad(loss, delta)
        moved = (delta.detach() + self.alpha * gradient.sign()).clamp(-self.epsilon, self.epsilon)
        return (x + moved).clamp(0, 1)
