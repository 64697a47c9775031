"""The critic of progressive exaggeration: how real an image is, and how well it fits its bin."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from counterfoil.core.bounds import Count, Pair, checks_options
from counterfoil.core.errors import UserError
from counterfoil.generative.exaggeration.network import fitting_pad


@checks_options
class Discriminator(nn.Module):
    """Residual network with spectral norm, sum pooling and a projection onto the ordinal code of the bin.

    D(x, t, k) = psi(h) + sum_{i = 1..k} <v_{t,i}, h>,   h = sum over positions of phi(x)

    Args:
        channels, size: of the images.
        slots, bins: targets and bins of the knob.
        projection: "ordinal": one vector per threshold (the paper); "shared": one vector for all, so that the
            term is affine in k (the official code); "none": the bin is not shown.
        width: channels of the first stage, doubled by each, up to eight times.
        stages: halvings; None: as many as lead to about 4 x 4.

    Source: Explanation by Progressive Exaggeration (Singla et al., ICLR 2020), arXiv 1911.00483; projection
    after cGANs with Projection Discriminator (Miyato and Koyama, 2018), arXiv 1802.05637.
    """

    def __init__(
        self,
        channels: Count,
        size: Count,
        slots: Count = 1,
        bins: Pair = 10,
        *,
        projection: str = "ordinal",
        width: Count = 32,
        stages: Count | None = None,
    ) -> None:
        super().__init__()
        if projection not in ("ordinal", "shared", "none"):
            raise UserError(f"projection={projection} is not known; choose ordinal, shared or none")
        self.slots, self.bins, self.projection = slots, bins, projection
        stages = max(1, round(math.log2(size / 4))) if stages is None else stages
        self.pad = fitting_pad(size, stages, None)
        widths = [width * min(2**i, 8) for i in range(stages)]
        blocks = [
            _Block(a, b, first=i == 0)
            for i, (a, b) in enumerate(zip([channels, *widths[:-1]], widths, strict=True))
        ]
        self.blocks = nn.Sequential(*blocks, _Block(widths[-1], widths[-1], halve=False))
        self.realness = spectral_norm(nn.Linear(widths[-1], 1))
        vectors = {"ordinal": slots * (bins - 1), "shared": slots, "none": 0}[projection]
        self.thresholds = spectral_norm(nn.Linear(widths[-1], vectors, bias=False)) if vectors else None

    def forward(self, x: Tensor, slot: Tensor, bin: Tensor) -> Tensor:
        """Scores (B,) of images (B, C, H, W) in [0, 1] that claim slots (B,) and bins (B,)."""
        h = F.relu(self.blocks(F.pad(2 * x - 1, (self.pad,) * 4, value=-1.0))).sum((2, 3))
        score: Tensor = self.realness(h)[:, 0] + self.label_term(h, slot, bin)
        return score

    def label_term(self, h: Tensor, slot: Tensor, bin: Tensor) -> Tensor:
        """The projection (B,) of features h (B, D)."""
        if self.thresholds is None:
            return h.new_zeros(len(h))
        products = self.thresholds(h).view(len(h), self.slots, -1)
        mine = products[torch.arange(len(h), device=h.device), slot]
        if self.projection == "shared":
            affine: Tensor = bin * mine[:, 0]
            return affine
        term: Tensor = (mine * thermometer(bin, self.bins).to(mine)).sum(1)
        return term


def thermometer(bin: Tensor, bins: int) -> Tensor:
    """The ordinal code of bins (B,): bool (B, bins - 1), entry i - 1 says whether the bin is i or above."""
    return bin[:, None] > torch.arange(bins - 1, device=bin.device)


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, first: bool = False, halve: bool = True) -> None:
        super().__init__()
        self.first, self.halve = first, halve
        self.one = spectral_norm(nn.Conv2d(inputs, outputs, 3, padding=1))
        self.two = spectral_norm(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.shortcut = spectral_norm(nn.Conv2d(inputs, outputs, 1)) if inputs != outputs else nn.Identity()

    def forward(self, h: Tensor) -> Tensor:
        inner = self.two(F.relu(self.one(h if self.first else F.relu(h))))
        if not self.halve:
            total: Tensor = inner + self.shortcut(h)
            return total
        short: Tensor = self.shortcut(F.avg_pool2d(h, 2))
        return F.avg_pool2d(inner, 2) + short
