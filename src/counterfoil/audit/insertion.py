"""How much a part of the change moves the classifier by itself, and how much is lost without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from counterfoil.audit.aspects import only
from counterfoil.audit.regions import Region
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.query import probability_of, reaches
from counterfoil.metric.bootstrap import mean_interval, percentiles, resampled_means, share_interval

RESAMPLES = 1000
ROW, EFFECT = ("query", "source", "target"), ("moved", "flipped", "lost")
Logits = Callable[[Tensor], Tensor]
"""Logits (B, K) of images (B, C, H, W) in [0, 1], without gradient."""


@dataclass(frozen=True)
class Effects:
    """What the classifier says of the parts of N changes.

    Attributes:
        parts: names of the P parts.
        query, source, target: (N,).
        moved: (N, P) rise of the target's probability where this part alone is put into the factual.
        flipped: (N, P) 1 where that turns the decision to the target.
        lost: (N, P) fall of the target's probability where this part alone is taken back.
    """

    parts: tuple[str, ...]
    query: Tensor
    source: Tensor
    target: Tensor
    moved: Tensor
    flipped: Tensor
    lost: Tensor

    def __len__(self) -> int:
        return len(self.query)

    def __getitem__(self, rows: Tensor) -> Effects:
        """Some rows (N,) bool."""
        return Effects(self.parts, *(getattr(self, name)[rows] for name in (*ROW, *EFFECT)))

    def of(self, parts: Sequence[str]) -> Effects:
        """Some parts alone, in this order."""
        at = [self.parts.index(part) for part in parts]
        rows = (getattr(self, name) for name in ROW)
        return Effects(tuple(parts), *rows, *(getattr(self, name)[:, at] for name in EFFECT))


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval over queries; NaN where not defined."""

    value: float
    low: float
    high: float

    def as_list(self) -> list[float | None]:
        """Value, low and high to four digits, with null for what is not defined; no zero has a sign."""
        return [
            None if number != number else round(number, 4) + 0.0
            for number in (self.value, self.low, self.high)
        ]


@dataclass(frozen=True)
class Ranked:
    """A part and what it does.

    Attributes:
        part: its name.
        moved, flipped, lost: see `Effects`.
        first: share of resamples of the queries in which it moves the target's probability most.
    """

    part: str
    moved: Interval
    flipped: Interval
    lost: Interval
    first: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        told = {name: getattr(self, name).as_list() for name in EFFECT}
        return {"part": self.part, **told, "first": round(self.first, 4)}


def insert(
    parts: Iterable[Counterfactuals], classifier: Logits, regions: Sequence[Region], kinds: Sequence[str]
) -> Effects:
    """Put the change of each region, and each kind of change, into the factual alone, and take it back alone.

    m x' + (1 - m) x  and  m x + (1 - m) x'

    Args:
        parts: valid counterfactuals.
        classifier: the model explained.
        regions: named.
        kinds: see `counterfoil.audit.aspects`.
    """
    names = (*(region.name for region in regions), *kinds)
    columns: dict[str, list[Tensor]] = {name: [] for name in (*ROW, *EFFECT)}
    for cf in parts:
        before = probability_of(cf.factual_logits, cf.target)
        after = probability_of(cf.counterfactual_logits, cf.target)
        moved, flipped, lost = [], [], []
        for there, back in _edits(cf, regions, kinds):
            logits = classifier(there)
            moved.append(probability_of(logits, cf.target) - before)
            flipped.append(reaches(logits, cf.target))
            lost.append(after - probability_of(classifier(back), cf.target))
        for name in ROW:
            columns[name].append(getattr(cf, name).cpu())
        for name, values in zip(EFFECT, (moved, flipped, lost), strict=True):
            columns[name].append(torch.stack(values, 1).double().cpu())
    return Effects(names, *(torch.cat(columns[name]) for name in (*ROW, *EFFECT)))


def _edits(
    cf: Counterfactuals, regions: Sequence[Region], kinds: Sequence[str]
) -> Iterable[tuple[Tensor, Tensor]]:
    """For each part, the factual with it alone and the counterfactual without it."""
    x, changed = cf.factual, cf.counterfactual
    for region in regions:
        mask = region.mask.to(x.device)
        yield torch.where(mask, changed, x), torch.where(mask, x, changed)
    for kind in kinds:
        yield only(kind, x, changed), only(kind, changed, x)


def rank(effects: Effects, seed: int = 0) -> list[Ranked]:
    """The parts by how much they move the target's probability, largest first; ties by name."""
    samples = {
        name: resampled_means(getattr(effects, name), effects.query, RESAMPLES, seed) for name in EFFECT
    }
    first = (
        torch.bincount(samples["moved"].nan_to_num(-2).argmax(1), minlength=len(effects.parts)) / RESAMPLES
    )
    found = []
    for place, part in enumerate(effects.parts):
        moved, lost = (
            _mean(getattr(effects, name)[:, place], effects.query, samples[name][:, place])
            for name in ("moved", "lost")
        )
        share = effects.flipped[:, place]
        low, high = share_interval(share, effects.query, samples["flipped"][:, place])
        flipped = Interval(float(share.mean()), low, high)
        found.append(Ranked(part, moved, flipped, lost, float(first[place])))
    return sorted(found, key=lambda one: (-one.moved.value, one.part))


def interval_of(values: Tensor, query: Tensor, seed: int = 0) -> Interval:
    """The mean of values (N,), NaN where not defined, with its interval over queries."""
    return _mean(values, query, resampled_means(values[:, None], query, RESAMPLES, seed)[:, 0])


def difference(values: Tensor, split: Tensor, query: Tensor, seed: int = 0) -> Interval:
    """Mean of values (N,) where `split` (bool) minus the mean elsewhere, queries drawn with replacement."""
    columns = torch.stack((values.where(split, torch.nan), values.where(~split, torch.nan)), 1)
    samples = resampled_means(columns, query, RESAMPLES, seed)
    one, other = columns.nanmean(0).tolist()
    return Interval(one - other, *percentiles(samples[:, 0] - samples[:, 1]))


def order(effects: Mapping[str, Effects], parts: Sequence[str]) -> list[int]:
    """The places of the parts by their mean effect, every method weighed the same."""
    means = torch.stack([effect.of(parts).moved.mean(0) for effect in effects.values() if len(effect)])
    return means.mean(0).argsort(descending=True, stable=True).tolist()


def _mean(values: Tensor, query: Tensor, samples: Tensor) -> Interval:
    return Interval(float(values.nanmean()), *mean_interval(values, query, samples))
