"""Scores counterfactuals with several metrics at once: one entry per metric."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.entry import Entry, label
from counterfoil.metric.base import AnyMetric, FigureMetric, SampleMetric, SetMetric
from counterfoil.metric.bootstrap import mean_interval, resampled_means, share_interval
from counterfoil.metric.jackknife import jackknife, shared_groups, shared_interval, weights_without
from counterfoil.metric.network import evaluated_once, forget

BATCH = 256


class Scored(NamedTuple):
    """What `evaluate_metrics` measures.

    Attributes:
        summary: one entry per metric, with `<name>_valid` after each that is also reported over the valid
            rows alone; n counts the rows whose value is defined.
        table: the values (N,) of every sample metric, float64 on the CPU, NaN where not defined.
        draws: the values (G,) of every set metric without each group of queries, the same groups for all
            methods.
    """

    summary: dict[str, Entry]
    table: dict[str, Tensor]
    draws: dict[str, Tensor]


class _Column(NamedTuple):
    name: str
    metric: SampleMetric
    values: Tensor


def evaluate_metrics(
    metrics: Mapping[str, AnyMetric],
    counterfactuals: Counterfactuals | Iterable[Counterfactuals],
    seed: int = 0,
    doubts: Mapping[str, str] | None = None,
    *,
    resamples: int = 1000,
    groups: int = 50,
) -> Scored:
    """Reset the metrics, show them all counterfactuals and sum up.

    Intervals cover 95 % and resample queries, not rows. Means: percentile bootstrap. Shares with one row per
    query, or with all rows alike: Wilson. Times: jackknife over batches. Set metrics: jackknife over groups
    of queries, the reference images held fixed. A maximum has none; a `FigureMetric` brings its own.

    Args:
        metrics: by the name they are reported as.
        counterfactuals: all of them, or batches in order; read once, and none is kept.
        seed: of the resamples, the same for all metrics, so that two methods on the same queries are
            resampled and grouped alike.
        doubts: metric -> why its figures are not to be ranked, besides what the metric says itself.
        resamples: of the queries, for sample metrics.
        groups: of queries, for set metrics.
    """
    with evaluated_once():
        query, valid = _feed(metrics, counterfactuals)
    columns = _columns(metrics, valid)
    summary: dict[str, Entry] = {}
    draws: dict[str, Tensor] = {}
    means = resampled_means(_stack(columns, len(query)), query, resamples, seed)
    sampled = {column.name: _sample_entry(column, query, means[:, i]) for i, column in enumerate(columns)}
    for name, metric in metrics.items():
        if isinstance(metric, SetMetric):
            draws[name] = _draws(metric, query, groups, seed)
            summary[name] = _set_entry(metric, query, draws[name])
        elif isinstance(metric, FigureMetric):
            summary[name] = metric.entry(*metric.figure())
        else:
            summary.update({key: sampled[key] for key in (name, f"{name}_valid") if key in sampled})
    for name, doubt in (doubts or {}).items():
        for key in (name, f"{name}_valid"):
            if key in summary:
                summary[key] = replace(summary[key], doubt=doubt)
    return Scored(summary, {c.name: c.values for c in columns if c.name in metrics}, draws)


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
        query.append(batch.query.cpu().clone())
        valid.append(batch.valid.cpu())
        forget()
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
    value, n = float(metric.reduce(values)), int(values.isfinite().sum())
    if metric.shared:
        groups = shared_groups(values)
        bounds = shared_interval(values, groups, value)
        return replace(metric.entry(value, *bounds, n), measured=len(groups.unique()))
    if metric.aggregate == "max":  # the bootstrap of a maximum is not consistent
        low, high = math.nan, math.nan
    else:
        low, high = (share_interval if metric.boolean else mean_interval)(values, query, samples)
    entry = metric.entry(value, low, high, n)
    over_valid, distance = (
        column.name == f"{metric.name}_valid",
        metric.role == "distance" and metric.also_valid,
    )
    if not over_valid:
        return replace(entry, main=metric.main and not distance)
    return replace(entry, main=metric.main and distance, label=f"{metric.label or label(metric.name)}, valid")


def _draws(metric: SetMetric, query: Tensor, groups: int, seed: int) -> Tensor:
    """The number without each group of queries (G,); empty for fewer than two queries."""
    if len(torch.unique(query)) < 2:
        return torch.zeros(0, dtype=torch.float64)
    return torch.cat([metric.weighted(weights) for weights in weights_without(query, groups, seed)])


def _set_entry(metric: SetMetric, query: Tensor, draws: Tensor) -> Entry:
    value = float(metric.compute()) if len(query) else math.nan
    return metric.entry(value, *jackknife(draws, value), int(metric.usable.sum()))
