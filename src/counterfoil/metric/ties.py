"""Who is best, and who cannot be told from the best: by paired differences over the queries that both explained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from counterfoil.core.entry import Entry
from counterfoil.metric.bootstrap import percentiles, query_weights

RESAMPLES = 1000
Keyed = Mapping[tuple[str, ...], float]
"""The value of each query, by what it asks about."""


def standing(
    row: Mapping[str, Entry], differences: Mapping[tuple[str, str], tuple[float, float] | None]
) -> dict[str, str]:
    """{method: "best" | "tied"} of one metric; others are left out.

    Best is the best value among the methods with at least half as many counterfactuals as the method with most, so
    that nobody wins a distance over valid counterfactuals by failing. Tied is whose paired difference to the best
    has an interval that holds 0; without an interval only an equal value is tied.

    Args:
        row: method -> entry.
        differences: (method, best) -> the 95 % interval of their paired difference, None where there is none.
    """
    best = best_of(row)
    if best is None:
        return {}
    marks = {best: "best"}
    for name in ranked(row):
        bounds = differences.get((name, best))
        equal = row[name].value == row[best].value
        if name != best and (equal or (bounds is not None and bounds[0] <= 0 <= bounds[1])):
            marks[name] = "best" if equal else "tied"
    return marks


def ranked(row: Mapping[str, Entry]) -> list[str]:
    """The methods with a value and at least half as many counterfactuals as the method with most."""
    known = {name: entry for name, entry in row.items() if entry.value is not None}
    most = max((entry.n for entry in known.values()), default=0)
    return [name for name, entry in known.items() if 2 * entry.n >= most]


def best_of(row: Mapping[str, Entry]) -> str | None:
    """The method with the best value; None for fewer than two methods, or a metric without direction."""
    names = ranked(row)
    better = next((row[name].higher_is_better for name in names), None)
    if better is None or len(row) < 2:
        return None
    return (max if better else min)(names, key=lambda name: row[name].value or 0.0)


def paired_interval(pairs: Sequence[tuple[Keyed, Keyed]], seed: int = 0) -> tuple[float, float] | None:
    """The 95 % interval of the mean difference of two methods over their common queries.

    One pair per run. One run: the percentile bootstrap over its queries. Several: Student's over the runs' mean
    differences, or what the bootstrap within the runs gives for their mean, where that is wider.

    Returns:
        (low, high), or None where a run has fewer than two common queries.
    """
    means, halves, bounds = [], [], (math.nan, math.nan)
    for one, other in pairs:
        shared = [key for key in one if key in other and math.isfinite(one[key]) and math.isfinite(other[key])]
        if len(shared) < 2:
            return None
        gaps = torch.tensor([one[key] - other[key] for key in shared], dtype=torch.float64)
        bounds = percentiles(_resampled(gaps, seed))
        means.append(float(gaps.mean()))
        halves.append((bounds[1] - bounds[0]) / 2)
    if len(means) < 2:
        return bounds if means else None
    return over_runs(means, math.sqrt(sum(half * half for half in halves)) / len(halves))


def over_runs(differences: Sequence[float], least: float = 0.0) -> tuple[float, float]:
    """Student's 95 % interval of the mean of S >= 2 differences, at least `least` wide to each side."""
    from scipy.stats import t

    values = torch.tensor(differences, dtype=torch.float64)
    spread = float(t.ppf(0.975, len(values) - 1)) * float(values.std()) / math.sqrt(len(values))
    half = max(spread, least)
    return float(values.mean()) - half, float(values.mean()) + half


def _resampled(gaps: Tensor, seed: int) -> Tensor:
    weights = torch.cat(list(query_weights(torch.arange(len(gaps)), RESAMPLES, seed)))
    means: Tensor = weights @ gaps / len(gaps)
    return means
