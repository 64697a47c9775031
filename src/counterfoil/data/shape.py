"""Thickness, slant and width of a bright stroke on a dark ground, from the moments of its pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

NAMES = ("Thickness", "Slant", "Width")


def measure(x: Tensor) -> Tensor:
    """Thickness and width in pixels and slant as a tangent, (B, 3), of images (B, C, H, W) in [0, 1].

    Zeros where nothing is drawn. Ink is every pixel above half of the image's own maximum, channels averaged.
    With m_pq the central moments of the ink over its area, x to the right and y upwards:

        thickness = 2 area / perimeter,  slant = m_11 / m_02,  width = sqrt(12 (m_20 - m_11^2 / m_02))

    The perimeter counts edges between ink and ground, so that diagonal strokes read up to sqrt(2) thinner;
    the width is that of a uniform bar with the stroke's horizontal spread once its slant is taken out.
    """
    grey = x.mean(1)
    peak = grey.flatten(1).amax(1)
    ink = (grey > 0.5 * peak.view(-1, 1, 1)).to(x.dtype)
    area = ink.sum((1, 2)).clamp(min=1)
    m20, m11, m02 = _moments(ink, area)
    slant = m11 / m02.clamp(min=1e-6)
    width = (12 * (m20 - m11 * slant)).clamp(min=0).sqrt()
    found = torch.stack((2 * area / _perimeter(ink).clamp(min=1), slant, width), dim=1)
    return torch.where((peak > 0)[:, None], found, 0.0)


class ShapeScale:
    """Maps the three measures to [0, 1]: 0 at their 2nd percentile over some images, 1 at the 98th, clamped.

    Args:
        images: (N, C, H, W) in [0, 1], whose percentiles are taken.
    """

    def __init__(self, images: Tensor) -> None:
        self.low, high = torch.quantile(
            measure(images).double(), torch.tensor([0.02, 0.98], dtype=torch.float64), dim=0
        )
        self.span = high - self.low

    def __call__(self, x: Tensor) -> Tensor:
        """The scaled measures (B, 3) of images (B, C, H, W) in [0, 1]."""
        scaled: Tensor = (measure(x) - self.low.to(x)) / self.span.to(x).clamp(min=math.ulp(1.0))
        return scaled.clamp(0, 1)


def _moments(ink: Tensor, area: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    rows = torch.arange(ink.shape[1], device=ink.device, dtype=ink.dtype).view(1, -1, 1)
    columns = torch.arange(ink.shape[2], device=ink.device, dtype=ink.dtype).view(1, 1, -1)
    x = columns - ((ink * columns).sum((1, 2)) / area).view(-1, 1, 1)
    y = ((ink * rows).sum((1, 2)) / area).view(-1, 1, 1) - rows
    m20, m11, m02 = ((ink * product).sum((1, 2)) / area for product in (x * x, x * y, y * y))
    return m20, m11, m02


def _perimeter(ink: Tensor) -> Tensor:
    framed = torch.nn.functional.pad(ink, (1, 1, 1, 1))
    edges: Tensor = framed.diff(dim=1).abs().sum((1, 2)) + framed.diff(dim=2).abs().sum((1, 2))
    return edges
