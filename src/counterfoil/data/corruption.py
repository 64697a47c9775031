"""Corruptions of images: noise, squares, blur, shuffled pixels; `corruption=` applies one to the queries.

Each row's draw comes from the generator given, else from the global one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from counterfoil.core.bounds import Positive, Share, Weight, checks_options
from counterfoil.core.errors import UserError


class Corruption(Protocol):
    """What is done to clean images before they are explained."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Corrupted images (B, C, H, W) in [0, 1] of clean ones; random draws come from the generator."""
        ...


@checks_options
@dataclass(frozen=True)
class Noise:
    """Gaussian noise of standard deviation `sigma`, cut off at 0 and 1; pixels and channels independent."""

    sigma: Weight = 0.1
    name: str = "noise"

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Noisy images, like `x` in shape."""
        return (x + self.sigma * torch.randn(x.shape, generator=generator)).clamp(0, 1)


@checks_options
@dataclass(frozen=True)
class Blur:
    """A Gaussian of standard deviation `sigma` in pixels."""

    sigma: Positive = 1.0
    name: str = "blur"

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Blurred images; nothing is drawn."""
        return blur(x, self.sigma)


@checks_options
@dataclass(frozen=True)
class Missing:
    """A share of the pixels, drawn for each image, is black in all channels."""

    share: Share = 0.3
    name: str = "missing"

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Images with holes."""
        gone = torch.rand(len(x), 1, *x.shape[-2:], generator=generator) < self.share
        return x.masked_fill(gone, 0)


@checks_options
@dataclass(frozen=True)
class Contrast:
    """0.5 + (x - 0.5) * factor, cut off at 0 and 1: a factor of 0.5 halves the contrast around mid-grey."""

    factor: Weight = 0.5
    name: str = "contrast"

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Flatter images, or with a factor above 1 starker ones; nothing is drawn."""
        return (0.5 + (x - 0.5) * self.factor).clamp(0, 1)


@checks_options
@dataclass(frozen=True)
class Square:
    """A painted square.

    Attributes:
        side: below 1 a share of the image's side, else pixels.
        value: its brightness in [0, 1].
        place: "random", drawn for each image, or "middle".
    """

    side: Weight = 0.25
    value: Share = 0.5
    place: Literal["random", "middle"] = "random"
    name: str = "square"

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Painted images."""
        if not self.side:
            return x.clone()
        if self.place == "middle":
            return x.masked_fill(self.inside(x), self.value)
        side = self.side if self.side < 1 else self.side / min(x.shape[-2:])
        return paint_square(x, side, self.value, generator)

    def inside(self, x: Tensor) -> Tensor:
        """Where the square of images (..., H, W) lies: bool (1, 1, H, W).

        Raises:
            UserError: a square at a random place, or one that is larger than the images.
        """
        height, width = x.shape[-2:]
        side = round(self.side * min(height, width)) if self.side < 1 else round(self.side)
        if self.place != "middle":
            raise UserError("corruption.place=random: the place of the square is not known; set it to middle")
        if side > min(height, width):
            raise UserError(f"corruption.side={self.side:g}: expected at most {min(height, width)} pixels")
        inside = torch.zeros(1, 1, height, width, dtype=torch.bool, device=x.device)
        top, left = (height - side) // 2, (width - side) // 2
        inside[..., top : top + side, left : left + side] = True
        return inside


def noise_like(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Independent uniform pixels in [0, 1], of the shape (B, C, H, W) of `x`."""
    return torch.rand(x.shape, generator=generator).to(x)


def shuffle_pixels(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Images (B, C, H, W) with their pixels in random order, channels together: the histograms stay."""
    order = torch.rand(len(x), x.shape[-2] * x.shape[-1], generator=generator).argsort(1).to(x.device)
    return x.flatten(2).gather(2, order[:, None].expand(-1, x.shape[1], -1)).view_as(x)


def paint_square(
    x: Tensor, side: float | Tensor, value: float | Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Paint a square somewhere into each image (B, C, H, W).

    Args:
        side: of the square, as a share of the image's, one number or (B,).
        value: its brightness in [0, 1], one number or (B, C, 1, 1).
        generator: of the places; the whole square lies inside the image.
    """
    height, width = x.shape[-2:]
    share = torch.as_tensor(side, dtype=torch.float32).cpu().expand(len(x))
    inside = torch.ones(len(x), 1, height, width, dtype=torch.bool)
    for axis, length in ((-2, height), (-1, width)):
        pixels = (share * length).round().clamp(1, length)
        start = (torch.rand(len(x), generator=generator) * (length - pixels + 1)).floor()
        at = torch.arange(length).view(1, -1)
        along = (at >= start[:, None]) & (at < (start + pixels)[:, None])
        inside &= along.view(len(x), 1, *((height, 1) if axis == -2 else (1, width)))
    return torch.where(inside.to(x.device), torch.as_tensor(value).to(x), x)


def blur(x: Tensor, sigma: float) -> Tensor:
    """Images (B, C, H, W) under a Gaussian of standard deviation `sigma` > 0 in pixels.

    The kernel is cut off at three standard deviations; edges repeat.
    """
    reach = max(1, round(3 * sigma))
    at = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    kernel = (-(at**2) / (2 * sigma**2)).exp()
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    rows = x.flatten(0, 1)[:, None]
    for weight, pad in ((kernel, (reach, reach, 0, 0)), (kernel.transpose(-1, -2), (0, 0, reach, reach))):
        rows = F.conv2d(F.pad(rows, pad, mode="replicate"), weight)
    return rows.view_as(x)
