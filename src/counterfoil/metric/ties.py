"""The best method, and those tied with it: paired differences over the queries that both explained."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from counterfoil.core.batches import Rows
from counterfoil.core.entry import Entry
from counterfoil.metric.bootstrap import percentiles, query_weights
from counterfoil.metric.evaluation import Scored
from counterfoil.metric.jackknife import jackknife

RESAMPLES = 1000
Keyed = Mapping[tuple[str, ...], float]
"""The value of each query, by (query, target)."""


def rank(
    scored: Mapping[str, Scored], counterfactuals: Mapping[str, Rows], seed: int = 0
) -> dict[str, dict[str, str]]:
    """`standing` in each metric of the methods of one run: {metric: {method: "best" | "tied"}}."""
    names = dict.fromkeys(metric for found in scored.values() for metric in found.summary)
    ranks = {}
    for metric in names:
        row = {name: found.summary[metric] for name, found in scored.items() if metric in found.summary}
        best = best_of(row)
        others = [name for name in ranked(row) if best is not None and name != best]
        gaps = {
            (name, str(best)): _gap(metric, name, str(best), scored, counterfactuals, seed) for name in others
        }
        ranks[metric] = standing(row, gaps)
    return {metric: marks for metric, marks in ranks.items() if marks}


def _gap(
    metric: str,
    one: str,
    other: str,
    scored: Mapping[str, Scored],
    counterfactuals: Mapping[str, Rows],
    seed: int,
) -> tuple[float, float] | None:
    """The interval of the paired difference: over common queries, or by jackknife for numbers of a set.

    Times are measured apart, not in pairs.
    """
    draws = [scored[name].draws.get(metric) for name in (one, other)]
    if draws[0] is not None and draws[1] is not None and len(draws[0]) == len(draws[1]) > 0:
        value = (scored[one].summary[metric].value or 0.0) - (scored[other].summary[metric].value or 0.0)
        return jackknife(draws[0] - draws[1], value)
    entries = [scored[name].summary[metric] for name in (one, other)]
    if any(entry.measured for entry in entries):
        return _apart(*entries)
    keyed = [_keyed(scored[name].table, counterfactuals[name], metric) for name in (one, other)]
    return paired_interval([(keyed[0], keyed[1])], seed) if keyed[0] and keyed[1] else None


def _apart(one: Entry, other: Entry) -> tuple[float, float]:
    """The interval of the difference of two figures measured apart; unbounded where one tells no spread."""
    halves = []
    for entry in (one, other):
        if entry.low is None or entry.high is None:
            return -math.inf, math.inf
        halves.append((entry.high - entry.low) / 2)
    gap, half = (one.value or 0.0) - (other.value or 0.0), math.hypot(*halves)
    return gap - half, gap + half


def _keyed(table: Mapping[str, Tensor], cf: Rows, metric: str) -> Keyed:
    """Value by (query, target); of the valid rows alone for `<name>_valid`."""
    name = metric if metric in table else metric.removesuffix("_valid")
    if name not in table:
        return {}
    rows = zip(cf.query.tolist(), cf.target.tolist(), table[name].tolist(), cf.valid.tolist(), strict=True)
    return keyed(((str(q), str(t)), value) for q, t, value, valid in rows if valid or name == metric)


def keyed(rows: Iterable[tuple[tuple[str, ...], float]]) -> Keyed:
    """The mean over the counterfactuals of each query and target, of the values that are defined."""
    values: dict[tuple[str, ...], list[float]] = {}
    for key, value in rows:
        if math.isfinite(value):
            values.setdefault(key, []).append(value)
    return {key: sum(found) / len(found) for key, found in values.items()}


def standing(
    row: Mapping[str, Entry], differences: Mapping[tuple[str, str], tuple[float, float] | None]
) -> dict[str, str]:
    """{method: "best" | "tied"} of one metric; others are left out.

    Best is the best value among the methods with at least half as many counterfactuals as the method with
    most, so that nobody wins a distance over valid counterfactuals by failing. Tied is whose paired
    difference to the best has an interval that holds 0; without an interval only an equal value is tied.

    Args:
        row: method -> entry.
        differences: (method, best) -> the 95 % interval of their paired difference, None if there is none.
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
    """The methods with at least half as many counterfactuals as the method with most.

    What has no value, or one that is in doubt, is left out.
    """
    known = {name: entry for name, entry in row.items() if entry.value is not None and not entry.doubt}
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

    One pair per run. One run: the percentile bootstrap over its queries. Several: Student's over the runs'
    mean differences, or what the bootstrap within the runs gives for their mean, where that is wider.

    Returns:
        (low, high), or None where a run has fewer than two common queries.
    """
    means, halves, bounds = [], [], (math.nan, math.nan)
    for one, other in pairs:
        shared = [
            key for key in one if key in other and math.isfinite(one[key]) and math.isfinite(other[key])
        ]
        if len(shared) < 2:
            return None
        gaps = torch.tensor([one[key] - other[key] for key in shared], dtype=torch.float64)
        bounds = percentiles(_resampled(gaps, _queries(shared), seed))
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


def _queries(keys: Sequence[tuple[str, ...]]) -> Tensor:
    """A number (N,) for each query, the first part of a key; its targets are drawn together."""
    names = {name: place for place, name in enumerate(dict.fromkeys(key[0] for key in keys))}
    return torch.tensor([names[key[0]] for key in keys])


def _resampled(gaps: Tensor, query: Tensor, seed: int) -> Tensor:
    parts = query_weights(query, RESAMPLES, seed)
    return torch.cat([weights @ gaps / weights.sum(1) for weights in parts])
