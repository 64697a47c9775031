"""95 % intervals of numbers of a whole set, from what they are without each group of queries."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from counterfoil.metric.bootstrap import LEVEL

_BLOCK = 1_000_000  # numbers held at once


def weights_without(query: Tensor, groups: int, seed: int) -> Iterator[Tensor]:
    """Leave out each of G random groups of queries, of equal size but for one, in blocks that fit in memory.

    Args:
        query: (N,) int64, the query that each row belongs to; its rows are left out together.
        groups: G; a group per query where there are fewer.
        seed: of the groups, which depend on it, on G and on the grouping of the rows alone.

    Yields:
        (g, N) float64, 0 in the rows left out and 1 elsewhere; the g sum to G.
    """
    names, place = torch.unique(query.cpu(), return_inverse=True)
    count = min(groups, len(names))
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))
    group = (order % max(count, 1))[place]
    for part in torch.arange(count).split(max(1, _BLOCK // max(1, len(query)))):
        yield (group != part[:, None]).double()


def jackknife(samples: Tensor, value: float, level: float = LEVEL) -> tuple[float, float]:
    """value -+ t_{G-1} sqrt((G - 1) / G sum_g (s_g - mean s)^2), Student's.

    A bootstrap holds some rows twice, so it is less diverse than the set itself, which moves a Fréchet
    distance and widens its spread as soon as there are few rows per feature; rows left out do neither.

    Args:
        samples: (G,), the number without each group; those that are not finite are left out.
        value: the number of all rows.

    Returns:
        (low, high), NaN for fewer than two groups.

    Source: The Jackknife, the Bootstrap and Other Resampling Plans (Efron, 1982), SIAM.
    """
    from scipy.stats import t

    samples = samples[samples.isfinite()]
    groups = len(samples)
    if groups < 2 or not math.isfinite(value):
        return math.nan, math.nan
    spread = math.sqrt((groups - 1) / groups * float((samples - samples.mean()).square().sum()))
    half = float(t.ppf((1 + level) / 2, groups - 1)) * spread
    return value - half, value + half


def shared_groups(values: Tensor) -> Tensor:
    """Which measurement each row (N,) is part of, int64: equal values side by side are one."""
    new = torch.ones(len(values), dtype=torch.bool)
    new[1:] = values[1:] != values[:-1]
    return new.cumsum(0) - 1


def shared_interval(values: Tensor, groups: Tensor, value: float) -> tuple[float, float]:
    """The jackknife interval of the mean of `values` (N,) over measurements (N,) int64, at most 50 parts."""
    finite = values.isfinite()
    values, groups = values[finite].double(), groups[finite]
    parts = [(weights @ values) / weights.sum(1) for weights in weights_without(groups, 50, seed=0)]
    return jackknife(torch.cat([*parts, values[:0]]), value)
