"""Pictures made worse: noise, squares, blur, shuffled pixels. Each row's draw comes from the generator given, else from the global one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def noise_like(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Independent uniform pixels in [0, 1], of the shape (B, C, H, W) of `x`."""
    return torch.rand(x.shape, generator=generator).to(x)


def shuffle_pixels(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Images (B, C, H, W) with their pixels in random order, channels together: the same histogram, nothing to see."""
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
    """Images (B, C, H, W) under a Gaussian of standard deviation `sigma` > 0 in pixels, cut off at three of them; edges repeat."""
    reach = max(1, round(3 * sigma))
    at = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    kernel = (-(at**2) / (2 * sigma**2)).exp()
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    rows = x.flatten(0, 1)[:, None]
    for weight, pad in ((kernel, (reach, reach, 0, 0)), (kernel.transpose(-1, -2), (0, 0, reach, reach))):
        rows = F.conv2d(F.pad(rows, pad, mode="replicate"), weight)
    return rows.view_as(x)
