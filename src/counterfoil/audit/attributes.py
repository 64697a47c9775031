"""Which attributes counterfactuals change, and which of a query's predict that it flips easily."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from counterfoil.audit.insertion import RESAMPLES, Interval, difference, interval_of
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.metric.attributes import AttributeReader
from counterfoil.metric.bootstrap import resampled_means


@dataclass(frozen=True)
class Attribute:
    """One attribute, as the judge sees it.

    Attributes:
        name: of the attribute.
        moved: mean |change| of its probability over valid counterfactuals.
        change: the signed mean.
        ease: mean L1 of valid counterfactuals of queries that show it, minus that of the others: below 0
            where a query that shows it needs less change.
        validity: the same difference of the share that is valid.
        first: share of resamples of the queries in which it moves most.
    """

    name: str
    moved: Interval
    change: Interval
    ease: Interval
    validity: Interval
    first: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        figures = {name: getattr(self, name).as_list() for name in ("moved", "change", "ease", "validity")}
        return {"attribute": self.name, **figures, "first": round(self.first, 4)}


def read_attributes(
    parts: Iterable[Counterfactuals], read: AttributeReader, seed: int = 0
) -> list[Attribute]:
    """All attributes, the one that moves most first.

    Args:
        parts: counterfactuals, valid or not.
        read: the judge's eyes.
        seed: of the intervals.
    """
    columns: dict[str, list[Tensor]] = {name: [] for name in ("before", "after", "valid", "l1", "query")}
    for cf in parts:
        before, after = (torch.sigmoid(read.logits(x)) for x in (cf.factual, cf.counterfactual))
        l1 = cf.delta.abs().flatten(1).mean(1)
        told = (before, after, cf.valid, l1, cf.query)
        for name, value in zip(columns, told, strict=True):
            columns[name].append(value.cpu())
    if not columns["query"]:
        return []
    before, after, valid, l1, query = (torch.cat(values) for values in columns.values())
    change, shows = (after - before).double()[valid], before > 0.5
    samples = resampled_means(change.abs(), query[valid], RESAMPLES, seed)
    first = torch.bincount(samples.argmax(1), minlength=len(read.names)) / RESAMPLES
    near, truth = l1.double().where(valid, torch.nan), valid.double()
    found = [
        Attribute(
            name,
            interval_of(change[:, i].abs(), query[valid], seed),
            interval_of(change[:, i], query[valid], seed),
            difference(near, shows[:, i], query, seed),
            difference(truth, shows[:, i], query, seed),
            float(first[i]),
        )
        for i, name in enumerate(read.names)
    ]
    return sorted(found, key=lambda one: -one.moved.value)
