"""Faint left and right patches: the classifier's log-odds are linear in their difference, so that every bin is filled."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from counterfoil.classifier.base import Classifier
from counterfoil.data.base import ImageData, Images, Splits


class Sides(nn.Module):
    """Logits (0, s), s = scale * (mean of the right half - mean of the left half)."""

    def __init__(self, scale: float = 12.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, x: Tensor) -> Tensor:
        s = self.scale * (x[..., 4:].mean((1, 2, 3)) - x[..., :4].mean((1, 2, 3)))
        return torch.stack((torch.zeros_like(s), s), dim=1)


def draw(number: int, seed: int) -> Images:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(number, 1, 8, 8, generator=generator) * 0.1
    light = torch.rand(number, 2, generator=generator) * 0.8
    x[..., 2:6, 1:3] += light[:, 0, None, None, None]
    x[..., 2:6, 5:7] += light[:, 1, None, None, None]
    return Images((x.clamp(0, 1) * 255).to(torch.uint8), (light[:, 1] > light[:, 0]).long())


class Toy(ImageData):
    """Two classes, 8 x 8."""

    name = "toy"

    def load(self) -> Splits:
        return Splits(draw(600, 0), draw(200, 1), ("left", "right"), val=draw(200, 2))


def classifier(**options: Any) -> Classifier:
    return Classifier(Sides(**options), class_names=("left", "right"))
