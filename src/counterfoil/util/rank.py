"""Ranks and rank correlation, by SciPy, which is imported when first used."""

from __future__ import annotations

import torch
from torch import Tensor


def ranks(values: Tensor) -> Tensor:
    """Ranks (N,) of values (N,), from 1, equal values sharing the mean of theirs; float64."""
    from scipy.stats import rankdata

    return torch.from_numpy(rankdata(values.detach().cpu().numpy()))


def spearman(a: Tensor, b: Tensor) -> float:
    """Spearman's rho of two (N,), in [-1, 1]: the correlation of their ranks; NaN if either is constant."""
    from scipy.stats import spearmanr

    if min(len(v.unique()) for v in (a, b)) < 2:
        return float("nan")
    return float(spearmanr(*(v.detach().cpu().numpy() for v in (a, b))).statistic)
