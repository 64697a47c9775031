"""Counterfactuals of one method that change the same thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from counterfoil.audit.regions import Region, kmeans

EXEMPLARS = 4
MOSTLY = 0.25
"""Share of the change above which a region is named."""
ONE_WAY = 0.75
"""Share of a region's change above which it has one sign."""


@dataclass(frozen=True)
class Cluster:
    """Counterfactuals whose change lies in the same regions with the same sign.

    Attributes:
        size: how many.
        share: of all that were clustered.
        words: what they change.
        rows: those nearest to the cluster's mean, nearest first.
    """

    size: int
    share: float
    words: str
    rows: tuple[int, ...]

    def as_dict(self, query: Tensor) -> dict[str, Any]:
        """Plain values; exemplars by their query."""
        shown = [int(query[row]) for row in self.rows]
        return {"size": self.size, "share": round(self.share, 4), "changes": self.words, "exemplars": shown}


def profile(change: Tensor, regions: Sequence[Region]) -> Tensor:
    """Share of each change (B, H, W) that brightens, then darkens, each of R regions: (B, 2 R)."""
    masks = torch.stack([region.mask for region in regions]).flatten(1).to(change)
    parts = torch.cat(
        (change.clamp(min=0).flatten(1) @ masks.T, (-change).clamp(min=0).flatten(1) @ masks.T), 1
    )
    return parts / parts.sum(1, keepdim=True).clamp(min=1e-12)


def cluster(profiles: Tensor, regions: Sequence[Region], count: int) -> list[Cluster]:
    """k-means of profiles (N, 2 R), the largest cluster first."""
    points = profiles.double()
    if not len(points):
        return []
    label = kmeans(points, torch.ones(len(points), dtype=torch.float64), count)
    found = []
    for k in label.unique().tolist():
        rows = (label == k).nonzero()[:, 0]
        mean = points[rows].mean(0)
        near = rows[(points[rows] - mean).norm(dim=1).argsort(stable=True)][:EXEMPLARS]
        share = len(rows) / len(points)
        found.append(Cluster(len(rows), share, _words(mean, regions), tuple(near.tolist())))
    return sorted(found, key=lambda one: (-one.size, one.rows))


def _words(mean: Tensor, regions: Sequence[Region]) -> str:
    """`A brighter, C redrawn`: the regions with the largest shares of the change."""
    brighter, darker = mean.view(2, len(regions)).tolist()
    parts = [(more + less, more, one.name) for more, less, one in zip(brighter, darker, regions, strict=True)]
    parts.sort(key=lambda part: -part[0])
    told = [part for part in parts[:3] if part[0] >= MOSTLY] or parts[:2]
    return ", ".join(f"{name} {_sign(more / max(both, 1e-12))}" for both, more, name in told)


def _sign(brighter: float) -> str:
    return "brighter" if brighter > ONE_WAY else "darker" if brighter < 1 - ONE_WAY else "redrawn"
