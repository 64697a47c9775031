"""Maps in the code of a generative model: from the class that a classifier decides for to another one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count
from counterfoil.generative.over_code import OverCode


class LatentMaps(OverCode):
    """g_st: z <- |z| u / |u|,  u = z + B_st relu(A_st z + a_st) + b_st,  for each source s and target t.

    Args:
        generator: encodes to codes (B, Z) and decodes, without a condition; held frozen beside the maps.
        classes: of the classifier.
        width: of each map's inner layer; the paper's code has that of the code.
        norm: keep the length of the code, as the paper's code does for a GAN's.

    Departures: the maps of all pairs of classes in one model.
    Source: Cycle-Consistent Counterfactuals by Latent Transformations (Khorram and Fuxin, CVPR 2022), arXiv
    2203.15064.

    Raises:
        UserError: a generative model that cannot encode and decode, or wants a condition.
    """

    classifier: Tensor

    def __init__(
        self, generator: nn.Module | None, classes: Count = 10, *, width: Count = 32, norm: bool = False
    ) -> None:
        super().__init__(generator, method="c3lt")
        latent = self.latent
        self.norm = norm
        pairs = classes * classes
        self.inner = nn.Parameter(torch.randn(pairs, latent, width) * (2 / latent) ** 0.5)
        self.inner_bias = nn.Parameter(torch.zeros(pairs, width))
        self.outer = nn.Parameter(torch.randn(pairs, width, latent) * 0.1 / width**0.5)
        self.outer_bias = nn.Parameter(torch.zeros(pairs, latent))
        self.classes = classes
        self.register_buffer("classifier", torch.zeros((), dtype=torch.int64))

    def step(self, z: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Codes (B, Z) after a step of the maps from the source to the target classes (B,)."""
        pair = source * self.classes + target
        hidden = (torch.einsum("bz,bzh->bh", z, self.inner[pair]) + self.inner_bias[pair]).relu()
        moved: Tensor = z + torch.einsum("bh,bhz->bz", hidden, self.outer[pair]) + self.outer_bias[pair]
        if not self.norm:
            return moved
        kept: Tensor = moved * (z.norm(dim=1) / moved.norm(dim=1).clamp(min=1e-12))[:, None]
        return kept

    def path(self, z: Tensor, source: Tensor, target: Tensor, steps: int) -> Tensor:
        """Codes (B, steps + 1, Z) along steps of the same maps, z first."""
        codes = [z]
        for _ in range(steps):
            codes.append(self.step(codes[-1], source, target))
        return torch.stack(codes, dim=1)
