"""Faint left and right patches: log-odds are linear in their difference, so that every bin is filled."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from counterfoil.classifier.base import Classifier
from counterfoil.data.base import ImageData, Images, Splits
from counterfoil.generative.exaggeration.network import Exaggerator
from counterfoil.generative.exaggeration.training import ExaggerationTraining


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


OPTIONS: dict[str, Any] = {
    "epochs": 2,
    "steps": 80,
    "batch_size": 24,
    "lr": 2e-3,
    "lambda_rec": 20.0,
    "lambda_cls": 10.0,
    "average": 0.95,
}


def make(model: nn.Module | None = None, **options: Any) -> ExaggerationTraining:
    torch.manual_seed(0)
    net = Exaggerator(1, 8, 2, bins=5, width=8, **options.pop("net", {}))
    given = {**OPTIONS, "discriminator": {"width": 8}, "pictures": 0, "watched": 64, "tested": 64, **options}
    return ExaggerationTraining(net, classifier=model or classifier(), **given)


def step_terms(module: ExaggerationTraining, x: torch.Tensor) -> dict[str, torch.Tensor]:
    slot = torch.zeros(len(x), dtype=torch.long)
    requested = torch.arange(len(x)) % module.net.knob.bins
    own = module.net.own_cell(module.classifier(x), slot)
    source = module.terms.scaled(x, slot).detach()
    code = module.net.encode(x, own)
    return module.terms.generator(
        x, code, module.terms.draw(code, slot, requested, own), slot, own, requested, source
    )
