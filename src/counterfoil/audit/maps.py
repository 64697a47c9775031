"""Where counterfactuals change the image: mean and share of queries, signed, by direction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals

CHANGED = 0.1
"""A pixel counts as changed above this |x' - x|, of its channel that changes most."""
CELLS = 16
"""Cells along a side, at most: regions are made of them."""

Direction = tuple[int, int] | None
"""Source and target; None: all of them together."""


@dataclass
class Maps:
    """Sums over the valid counterfactuals of one direction.

    Attributes:
        n: how many.
        image: (C, H, W) factuals.
        change: (H, W) signed change of the channel that changes most.
        size: (H, W) absolute change of it.
        more, less: (H, W) how many brighten or darken a pixel by more than CHANGED.
    """

    n: int
    image: Tensor
    change: Tensor
    size: Tensor
    more: Tensor
    less: Tensor

    @staticmethod
    def of(factual: Tensor, change: Tensor) -> Maps:
        """Of factuals (B, C, H, W) and their changes (B, H, W)."""
        parts = (factual, change, change.abs(), change > CHANGED, change < -CHANGED)
        return Maps(len(factual), *(part.double().sum(0) for part in parts))

    def __add__(self, other: Maps) -> Maps:
        parts = (one + two for one, two in zip(self._tensors, other._tensors, strict=True))
        return Maps(self.n + other.n, *parts)

    @property
    def means(self) -> dict[str, Tensor]:
        """Means over the counterfactuals by name, float32."""
        names = ("image", "change", "size", "more", "less")
        return {name: (getattr(self, name) / max(self.n, 1)).float() for name in names}

    @property
    def _tensors(self) -> tuple[Tensor, ...]:
        return self.image, self.change, self.size, self.more, self.less


class Mapped(NamedTuple):
    """The maps of one method by direction, and its changes by cell: float32 (N, P)."""

    maps: dict[Direction, Maps]
    cells: Tensor


def changes(cf: Counterfactuals) -> Tensor:
    """The signed change of the channel that changes most, pixel by pixel: (B, H, W).

    A mean over channels would not see red turn green.
    """
    delta = cf.delta
    return delta.gather(1, delta.abs().argmax(1, keepdim=True))[:, 0]


def map_changes(parts: Iterable[Counterfactuals]) -> Mapped:
    """Maps of valid counterfactuals over all, and over each direction."""
    maps: dict[Direction, Maps] = {}
    cells = []
    for cf in parts:
        change = changes(cf).cpu()
        cells.append(pooled(change.abs()))
        for direction in (None, *sorted(set(zip(cf.source.tolist(), cf.target.tolist(), strict=True)))):
            rows = torch.ones(len(cf), dtype=torch.bool) if direction is None else _going(cf, direction)
            found = Maps.of(cf.factual.cpu()[rows], change[rows])
            maps[direction] = maps[direction] + found if direction in maps else found
    return Mapped(maps, torch.cat(cells) if cells else torch.zeros(0, 1))


def cell_of(side: int) -> int:
    """The side of a cell in pixels, of images so large."""
    return -(-side // CELLS)


def pooled(change: Tensor) -> Tensor:
    """Means (B, P) over the cells of maps (B, H, W); cells at the rim may be smaller."""
    cell = cell_of(max(change.shape[-2:]))
    return F.avg_pool2d(change[:, None].float(), cell, ceil_mode=True, count_include_pad=False).flatten(1)


def _going(cf: Counterfactuals, direction: tuple[int, int]) -> Tensor:
    return ((cf.source == direction[0]) & (cf.target == direction[1])).cpu()
