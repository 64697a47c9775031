"""A search that may change one region of each image alone: where the target's score is most sensitive."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from counterfoil.core.bounds import Count, Share, Weight
from counterfoil.core.domain import Continuous
from counterfoil.core.query import Query
from counterfoil.search.candidate import END, Moment, Variables
from counterfoil.search.detail import Detail
from counterfoil.search.space import Latent


class Region(Latent):
    """The code of a generative model, decoded inside a region of the factual: x' = m G(z) + (1 - m) x.

    m = 1 on the cells with the largest mean |d (s_t - s_y) / dx|, as many as make up `share` of the image;
    s are the logits at the factual, y its class

    Args:
        share: of the image that may change.
        cell: side of a cell in pixels.
        spread, detail: see `Latent`.
    """

    inputs = Continuous

    def __init__(
        self, share: Share = 0.3, *, cell: Count = 4, spread: Weight = 0.5, detail: Detail | None = None
    ) -> None:
        super().__init__(spread, detail)
        self.share = share
        self.cell = cell

    def prepare(self, query: Query) -> None:
        """Choose the region of each query, once."""
        super().prepare(query)
        query.remember("region", lambda: self._choose(query))

    def spent(self, query: Query) -> Tensor | int:
        """The factual, once, for its gradient."""
        return 1

    def decode(self, query: Query, variables: Variables, moment: Moment = END) -> Tensor:
        """What the model draws, inside the region; the factual elsewhere."""
        region = query.remember("region", lambda: self._choose(query))
        return torch.where(region, super().decode(query, variables, moment), query.factual)

    def _choose(self, query: Query) -> Tensor:
        """The region (B, 1, H, W), True where the image may change."""
        x = query.factual.detach().requires_grad_()
        with torch.enable_grad():
            logits = query.classifier(x)
            labels = torch.stack((query.target, query.source), dim=1)
            (gradient,) = torch.autograd.grad(logits.gather(1, labels).diff(dim=1).sum(), x)
        height, width = x.shape[-2:]
        mean = F.avg_pool2d(gradient.abs().mean(1, keepdim=True), self.cell, ceil_mode=True)
        cells = mean.flatten(1)
        most = max(round(self.share * cells.shape[1]), 1)
        rank = cells.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        chosen = (rank < most).view_as(mean).to(x)
        return F.interpolate(chosen, scale_factor=self.cell, mode="nearest")[..., :height, :width] > 0.5
