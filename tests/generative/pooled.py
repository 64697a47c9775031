"""A generative model so small that its code can be checked by hand."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Pooled(nn.Module):
    """A code of 16 means over squares of 4 x 4 pixels."""

    latent = 16

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return F.avg_pool2d(x, 4).flatten(1) * self.scale

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return F.interpolate(z.view(-1, 1, 4, 4) * self.scale, scale_factor=4).clamp(0, 1)
