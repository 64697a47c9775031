"""Which attributes counterfactuals change, and which of a query's predict that it flips easily."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    """One attribute: how the judge sees it change, and whether queries that show it flip more easily.

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


@dataclass(frozen=True)
class Shown:
    """The attributes that the images of the queries have by the data.

    Attributes:
        names: of A attributes.
        table: (Q, A) bool, by query.
    """

    names: Sequence[str]
    table: Tensor


def read_attributes(
    parts: Iterable[Counterfactuals], read: AttributeReader | None, shown: Shown | None = None, seed: int = 0
) -> list[Attribute]:
    """All attributes, the one that moves most first; without a judge in the order of the data.

    Args:
        parts: counterfactuals, valid or not.
        read: the judge's eyes; None: what moves is not known.
        shown: what the queries show by the data; None: as the judge sees them.
        seed: of the intervals.
    """
    columns: dict[str, list[Tensor]] = {name: [] for name in ("before", "change", "valid", "l1", "query")}
    for cf in parts:
        before, after = _seen(cf, read, shown)
        l1 = cf.delta.abs().flatten(1).mean(1)
        told = (before, after - before, cf.valid, l1, cf.query)
        for name, value in zip(columns, told, strict=True):
            columns[name].append(value.cpu())
    if not columns["query"]:
        return []
    before, moved, valid, l1, query = (torch.cat(values) for values in columns.values())
    change, shows = moved.double()[valid], before > 0.5 if shown is None else shown.table[query]
    names = read.names if read is not None else shown.names if shown is not None else ()
    samples = resampled_means(change.abs(), query[valid], RESAMPLES, seed)
    first = torch.bincount(samples.nan_to_num(-1).argmax(1), minlength=len(names)) / RESAMPLES
    near, truth = l1.double().where(valid, torch.nan), valid.double()
    found = [
        Attribute(
            name,
            interval_of(change[:, i].abs(), query[valid], seed),
            interval_of(change[:, i], query[valid], seed),
            difference(near, shows[:, i], query, seed),
            difference(truth, shows[:, i], query, seed),
            float(first[i]) if read is not None else 0.0,
        )
        for i, name in enumerate(names)
    ]
    return found if read is None else sorted(found, key=lambda one: -one.moved.value)


def _seen(cf: Counterfactuals, read: AttributeReader | None, shown: Shown | None) -> tuple[Tensor, Tensor]:
    """The judge's probability (B, A) of each attribute before and after, NaN without one."""
    if read is not None:
        return torch.sigmoid(read.logits(cf.factual)), torch.sigmoid(read.logits(cf.counterfactual))
    unknown = torch.full((len(cf), 0 if shown is None else len(shown.names)), torch.nan)
    return unknown, unknown
