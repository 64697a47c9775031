"""95 % intervals over queries: rows that belong to the same query are drawn together."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from scipy.stats import binomtest
from torch import Tensor

LEVEL = 0.95
_BLOCK = 1_000_000  # numbers held at once, in each of a few tables


def query_weights(query: Tensor, resamples: int, seed: int) -> Iterator[Tensor]:
    """Resample Q queries with replacement, in blocks that fit in memory.

    Args:
        query: (N,) int64, the query that each row belongs to.
        resamples: how many resamples in total, R.
        seed: of the draws, which depend on it, on R and on the grouping of the rows alone.

    Yields:
        (r, N) float64, how often each row is in each resample; the r sum to R.
    """
    names, group = torch.unique(query.cpu(), return_inverse=True)
    generator = torch.Generator().manual_seed(seed)
    rows = max(1, _BLOCK // max(1, len(query)))
    for first in range(0, resamples, rows):
        draws = torch.randint(
            max(1, len(names)), (min(rows, resamples - first), len(names)), generator=generator
        )
        counts = torch.zeros(draws.shape, dtype=torch.float64).scatter_add_(
            1, draws, torch.ones(draws.shape, dtype=torch.float64)
        )
        yield counts[:, group]


def resampled_means(values: Tensor, query: Tensor, resamples: int = 1000, seed: int = 0) -> Tensor:
    """Means of the finite values in each resample of the queries.

    Args:
        values: (N, M), M metrics side by side.
        query: (N,) int64.

    Returns:
        (R, M) float64, NaN where a resample holds no finite value.
    """
    values = values.cpu().double()
    finite = values.isfinite()
    filled = torch.where(finite, values, 0.0)
    return torch.cat([(w @ filled) / (w @ finite.double()) for w in query_weights(query, resamples, seed)])


def percentiles(samples: Tensor, level: float = LEVEL) -> tuple[float, float]:
    """The central interval that holds `level` of the finite samples (R,), (NaN, NaN) where there are none."""
    samples = samples[samples.isfinite()]
    if len(samples) == 0:
        return math.nan, math.nan
    tail = (1 - level) / 2
    low, high = samples.quantile(torch.tensor([tail, 1 - tail], dtype=samples.dtype)).tolist()
    return low, high


def wilson(share: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a share of n independent trials; it has a width at 0 and 1 too.

    Source: Probable Inference, the Law of Succession, and Statistical Inference (Wilson, 1927), JASA 22(158).
    """
    if n == 0:
        return math.nan, math.nan
    interval = binomtest(round(share * n), n).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def share_interval(
    values: Tensor, query: Tensor, samples: Tensor, level: float = LEVEL
) -> tuple[float, float]:
    """Interval of the mean of 0/1 values: Wilson's where rows are independent, else the bootstrap's.

    The bootstrap is over queries. Where every counterfactual agrees it has no width; then Wilson's interval
    counts each query as one trial.

    Args:
        values: (N,), 0 or 1, NaN where not defined.
        query: (N,) int64.
        samples: (R,), the resampled means.
    """
    defined = values.isfinite()
    n, queries = int(defined.sum()), len(torch.unique(query[defined]))
    share = float(values[defined].double().mean())
    if queries == n or share in (0.0, 1.0):
        return wilson(share, queries, level)
    return mean_interval(values, query, samples, level)


def mean_interval(
    values: Tensor, query: Tensor, samples: Tensor, level: float = LEVEL
) -> tuple[float, float]:
    """Percentile interval of the mean; (NaN, NaN) where fewer than two queries have a finite value.

    Args: as in `share_interval`, with any values.
    """
    if len(torch.unique(query[values.isfinite()])) < 2:
        return math.nan, math.nan
    return percentiles(samples, level)
