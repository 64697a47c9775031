"""Counterfactuals of which every cause is known: a network that reads one corner, by construction."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.counterfactuals import Counterfactuals, unknown_costs

SIDE = 16
CORNER = (..., slice(12, 16), slice(12, 16))


class Corner(nn.Module):
    """Two classes: whether the bottom right corner is bright, whatever stands elsewhere."""

    class_names = ("without", "with")

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, 2) of images (B, C, 16, 16)."""
        bright = x[CORNER].mean((1, 2, 3))
        return torch.stack((10 * (0.5 - bright), 10 * (bright - 0.5)), 1)


class Tint(nn.Module):
    """Two classes: whether an image is more red than green."""

    class_names = ("green", "red")

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, 2) of images (B, 3, H, W)."""
        red, green, _blue = x.mean((2, 3)).unbind(1)
        total = (red + green).clamp(min=1e-6)
        return 10 * torch.stack((green - red, red - green), 1) / total[:, None]


def graded(classifier: nn.Module, x: Tensor, changed: Tensor) -> Counterfactuals:
    """Counterfactuals to the other of two classes."""
    with torch.no_grad():
        before, after = classifier(x), classifier(changed)
    target = 1 - before.argmax(1)
    rows = torch.arange(len(x))
    return Counterfactuals(x, changed, target, before, after, rows, rows.double(), **_costs(len(x)))


def _costs(rows: int) -> dict[str, Tensor]:
    return {name: value for name, value in unknown_costs(rows).items() if name != "steps"}


def pictures(n: int, channels: int = 1, seed: int = 0) -> Tensor:
    """Dim noise with a bright bar in the left half, whose place is random: (n, C, 16, 16)."""
    draw = torch.Generator().manual_seed(seed)
    x = 0.1 * torch.rand(n, channels, SIDE, SIDE, generator=draw)
    for row, place in enumerate(torch.randint(0, 6, (n,), generator=draw).tolist()):
        x[row, :, 2:12, place : place + 2] = 0.8
    return x


@pytest.fixture
def corner_cases() -> Callable[..., Counterfactuals]:
    """corner_cases(n, seed): the corner is painted or wiped, and the bar is drawn elsewhere."""

    def make(n: int = 40, seed: int = 0) -> Counterfactuals:
        x, other = pictures(n, seed=seed), pictures(n, seed=seed + 100)
        x[::2][CORNER], other[1::2][CORNER] = 0.9, 0.9
        return graded(Corner(), x, other)

    return make


@pytest.fixture
def tinted_cases() -> Callable[..., Counterfactuals]:
    """tinted_cases(n): red pictures become green ones and the reverse, and the bar is drawn elsewhere."""

    def make(n: int = 40) -> Counterfactuals:
        x, other = pictures(n, 3), pictures(n, 3, seed=100)
        for images, red in ((x, 0), (other, 1)):
            images[red::2, 1:] = 0
            images[1 - red :: 2, ::2] = 0
        return graded(Tint(), x, other)

    return make


@pytest.fixture
def corner() -> nn.Module:
    return Corner()


@pytest.fixture
def tint() -> nn.Module:
    return Tint()
