"""Rank correlation."""

from __future__ import annotations

import torch
from torch import Tensor


def ranks(values: Tensor) -> Tensor:
    """Ranks (N,) of values (N,), from 1, equal values sharing the mean of theirs; float64."""
    _, place, counts = torch.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    mean: Tensor = last - (counts.double() - 1) / 2
    return mean[place]


def spearman(a: Tensor, b: Tensor) -> float:
    """Spearman's rho of two (N,), in [-1, 1]: Pearson's correlation of the ranks; NaN where either is constant."""
    x, y = (ranks(v.detach().cpu().double()) for v in (a, b))
    x, y = x - x.mean(), y - y.mean()
    scale = (x.square().sum() * y.square().sum()).sqrt()
    return float((x * y).sum() / scale) if scale > 0 else float("nan")
