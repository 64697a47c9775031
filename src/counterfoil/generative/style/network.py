"""An embedding that tells how an image is made, and the views of an image that it is to match."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.classifier.cnn import CNN
from counterfoil.core.bounds import Count, checks_options


@checks_options
class Style(nn.Module):
    """Embeddings of length 1 by a small convolutional network.

    Args:
        channels: of the data.
        embedding: length of an embedding.
        width, stages: see `CNN`.
    """

    def __init__(
        self, channels: Count = 1, embedding: Count = 64, width: Count = 16, stages: Count = 3
    ) -> None:
        super().__init__()
        self.body = CNN(channels, embedding, width, stages, dropout=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """e(x) (B, D), ||e|| = 1, of images (B, C, H, W) in [0, 1]."""
        return F.normalize(self.body(2 * x - 1), dim=1)


def view(
    x: Tensor, shift: int = 3, margin: int = 4, noise: float = 0.05, draw: torch.Generator | None = None
) -> Tensor:
    """Images (B, C, H, W) in [0, 1], each moved, cut at its edges and disturbed a little.

    Neither turned, stretched nor thickened: that would be another style.

    Args:
        x: the images, dark around what they show.
        shift: largest move in pixels, down or across.
        margin: most rows and columns that are cut off, made black, at each side.
        noise: standard deviation of normal noise.
        draw: None: the global generator.
    """
    rows, (height, width) = len(x), x.shape[-2:]
    moves = torch.randint(-shift, shift + 1, (rows, 2), generator=draw)
    cuts = torch.randint(0, margin + 1, (rows, 4), generator=draw)
    normal = torch.randn(x.shape, generator=draw)
    padded = F.pad(x, (shift,) * 4)
    down = (torch.arange(height) + shift + moves[:, :1])[:, None, :, None].to(x.device)
    across = (torch.arange(width) + shift + moves[:, 1:])[:, None, None, :].to(x.device)
    every = torch.arange(rows, device=x.device)[:, None, None, None]
    channel = torch.arange(x.shape[1], device=x.device)[None, :, None, None]
    moved = padded[every, channel, down, across]
    inside = _within(height, cuts[:, :2])[:, None, :, None] & _within(width, cuts[:, 2:])[:, None, None, :]
    return (moved * inside.to(x) + noise * normal.to(x)).clamp(0, 1)


def _within(size: int, cuts: Tensor) -> Tensor:
    """Which places (B, size) are left by cuts (B, 2) at both ends."""
    place = torch.arange(size)
    return (place >= cuts[:, :1]) & (place < size - cuts[:, 1:])


def retrieved(first: Tensor, second: Tensor) -> Tensor:
    """Whether the second view (B, D) nearest to each first one (B, D) is its own: bool (B,)."""
    nearest: Tensor = (first @ second.T).argmax(1)
    return nearest == torch.arange(len(first), device=first.device)
