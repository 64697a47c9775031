"""Tiny networks and data on which every check runs in seconds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.data.base import ImageData, Images, Splits

CHANNELS, SIZE, CLASSES = 1, 16, 3


class TinyClassifier(nn.Module):
    """A smooth convolutional classifier with random weights, whose decision a small change can turn.

    Args:
        channels, classes: of images (B, channels, 16, 16) and logits (B, classes).
        seed: of the weights.
    """

    def __init__(self, channels: int = CHANNELS, classes: int = CLASSES, seed: int = 0) -> None:
        super().__init__()
        first, second = (
            nn.Conv2d(channels, 6, 3, stride=2, padding=1),
            nn.Conv2d(6, 6, 3, stride=2, padding=1),
        )
        self.body = nn.Sequential(first, nn.Tanh(), second, nn.Tanh())
        self.head = nn.Linear(6 * (SIZE // 4) ** 2, classes)
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for value in self.parameters():
                value.copy_(torch.randn(value.shape, generator=draw) * (1.5 if value.ndim < 4 else 0.6))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, channels, 16, 16) in [0, 1]."""
        logits: Tensor = self.head(self.body(2 * x - 1).flatten(1))
        return logits


class Bars(ImageData):
    """Noisy 16 x 16 pictures with one bright bar, whose place is the class."""

    name = "toy"

    def load(self) -> Splits:
        """60 training and 30 test images."""
        return Splits(train=bars(60, 0), test=bars(30, 1), class_names=("left", "middle", "right"))


def bars(n: int, seed: int) -> Images:
    """n pictures whose bar stands at the left, in the middle, at the right, in turn."""
    labels = torch.arange(n) % CLASSES
    pixels = torch.rand(n, CHANNELS, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)) * 100
    for k in range(CLASSES):
        pixels[labels == k, :, 2:14, 2 + 5 * k : 5 + 5 * k] += 140
    return Images(pixels.to(torch.uint8), labels)


def tiny_vae() -> nn.Module:
    """A VAE of such pictures with random weights, in eval mode."""
    from counterfoil.generative.vae import VAE

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VAE(CHANNELS, SIZE, latent=4, width=4).eval()


def queries(n: int = 4) -> Tensor:
    """n test images of `Bars`: (n, 1, 16, 16) in [0, 1], float64."""
    return bars(30, 1)[range(n)].x.double()


def counterfactuals(rows: int, seed: int = 0, classifier: nn.Module | None = None) -> Counterfactuals:
    """Random counterfactuals of random pictures (rows, 1, 16, 16), graded by a classifier."""
    draw = torch.Generator().manual_seed(seed)
    classifier = classifier or TinyClassifier()
    shape = (rows, CHANNELS, SIZE, SIZE)
    factual, other = torch.rand(shape, generator=draw), torch.rand(shape, generator=draw)
    changed = torch.rand(rows, 1, SIZE, SIZE, generator=draw) < 0.4
    counterfactual = torch.where(changed, other, factual)
    cost = torch.rand(4, rows, generator=draw, dtype=torch.float64)
    with torch.no_grad():
        logits = classifier(factual), classifier(counterfactual)
    return Counterfactuals(
        factual=factual,
        counterfactual=counterfactual,
        target=torch.randint(logits[0].shape[1], (rows,), generator=draw),
        factual_logits=logits[0],
        counterfactual_logits=logits[1],
        query=torch.arange(rows),
        steps=(cost[0] * 100).round(),
        seconds=cost[1],
        classifier_calls=(cost[2] * 1000).round(),
        peak_memory_mb=cost[3] * 500,
    )
