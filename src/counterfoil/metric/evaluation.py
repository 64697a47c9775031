"""Scores counterfactuals with several metrics at once: a value, an interval and a count each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypedDict

import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.metric.base import AnyMetric, FigureMetric, SampleMetric, SetMetric
from counterfoil.metric.bootstrap import (
    centred,
    mean_interval,
    query_weights,
    resampled_means,
    share_interval,
)
from counterfoil.metric.network import asked_once

BATCH = 256


class Entry(TypedDict):
    """One cell of a leaderboard; None stands for "not defined", as JSON has no NaN."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    higher_is_better: bool | None


class _Column(NamedTuple):
    name: str
    metric: SampleMetric
    values: Tensor


def evaluate_metrics(
    metrics: Mapping[str, AnyMetric],
    counterfactuals: Counterfactuals | Iterable[Counterfactuals],
    seed: int = 0,
    *,
    resamples: int = 1000,
    set_resamples: int = 100,
) -> tuple[dict[str, Entry], dict[str, Tensor]]:
    """Reset the metrics, show them all counterfactuals and sum up.

    Intervals cover 95 % and resample queries, not rows. Means: percentile bootstrap. Shares with one row a query, or with all
    rows alike: Wilson. Set metrics: percentile bootstrap moved onto the value, the reference images held fixed. A maximum has none;
    an `FigureMetric` brings its own.

    Args:
        metrics: by the name they are reported as.
        counterfactuals: all of them, or batches in order; read once.
        seed: of the resamples, the same for all metrics, so that two methods on the same queries are resampled alike.
        resamples, set_resamples: how many, for sample and for set metrics.

    Returns:
        summary: an entry a metric, with `<name>_valid` after each that is also reported over the valid rows alone; n counts the
            rows whose value is defined. Safe for JSON.
        table: the values (N,) of every sample metric, float64 on the CPU, NaN where not defined.
    """
    with asked_once():
        query, valid = _feed(metrics, counterfactuals)
    columns = _columns(metrics, valid)
    summary: dict[str, Entry] = {}
    means = resampled_means(_stack(columns, len(query)), query, resamples, seed)
    sampled = {column.name: _sample_entry(column, query, means[:, i]) for i, column in enumerate(columns)}
    for name, metric in metrics.items():
        if isinstance(metric, SetMetric):
            summary[name] = _set_entry(metric, query, set_resamples, seed)
        elif isinstance(metric, FigureMetric):
            summary[name] = _entry(*metric.figure(), metric)
        else:
            summary.update({key: sampled[key] for key in (name, f"{name}_valid") if key in sampled})
    return summary, {column.name: column.values for column in columns if column.name in metrics}


def _feed(
    metrics: Mapping[str, AnyMetric],
    counterfactuals: Counterfactuals | Iterable[Counterfactuals],
) -> tuple[Tensor, Tensor]:
    for metric in metrics.values():
        metric.reset()
    query, valid = [torch.zeros(0, dtype=torch.int64)], [torch.zeros(0, dtype=torch.bool)]
    for batch in (
        _batches(counterfactuals) if isinstance(counterfactuals, Counterfactuals) else counterfactuals
    ):
        for metric in metrics.values():
            metric.update(batch)
        query.append(batch.query.cpu())
        valid.append(batch.valid.cpu())
    return torch.cat(query), torch.cat(valid)


def _batches(counterfactuals: Counterfactuals) -> Iterable[Counterfactuals]:
    return (counterfactuals[first : first + BATCH] for first in range(0, len(counterfactuals), BATCH))


def _columns(metrics: Mapping[str, AnyMetric], valid: Tensor) -> list[_Column]:
    columns = []
    for name, metric in metrics.items():
        if isinstance(metric, SampleMetric):
            values = metric.values.cpu().double()
            columns.append(_Column(name, metric, values))
            if metric.also_valid:
                columns.append(_Column(f"{name}_valid", metric, values.masked_fill(~valid, math.nan)))
    return columns


def _stack(columns: list[_Column], rows: int) -> Tensor:
    return torch.stack([c.values for c in columns], dim=1) if columns else torch.zeros(rows, 0)


def _sample_entry(column: _Column, query: Tensor, samples: Tensor) -> Entry:
    values, metric = column.values, column.metric
    if metric.aggregate == "max":  # the bootstrap of a maximum is not consistent
        low, high = math.nan, math.nan
    else:
        low, high = (share_interval if metric.boolean else mean_interval)(values, query, samples)
    return _entry(float(metric.reduce(values)), low, high, int(values.isfinite().sum()), metric)


def _set_entry(metric: SetMetric, query: Tensor, resamples: int, seed: int) -> Entry:
    value = float(metric.compute()) if len(query) else math.nan
    low, high = math.nan, math.nan
    if math.isfinite(value) and len(torch.unique(query)) > 1:
        samples = torch.cat([metric.weighted(weights) for weights in query_weights(query, resamples, seed)])
        low, high = centred(samples, value)
    if metric.minimum is not None:
        low = max(low, metric.minimum)
    return _entry(value, low, high, int(metric.usable.sum()), metric)


def _entry(value: float, low: float, high: float, n: int, metric: AnyMetric) -> Entry:
    number, lowest, highest = (x if math.isfinite(x) else None for x in (value, low, high))
    return Entry(value=number, low=lowest, high=highest, n=n, higher_is_better=metric.higher_is_better)
