"""What if a region were hidden from the classifier, or must not change?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from counterfoil.audit.insertion import Interval, Logits
from counterfoil.audit.regions import Region
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.metric.bootstrap import wilson

SPREADS = 200
"""Rounds in which neighbours flow into a hidden region."""


class Explains(Protocol):
    """A method, as `counterfoil.explainer.base.Explainer` is called."""

    def __call__(self, x: Tensor, target: Tensor, *, mask: Tensor) -> Counterfactuals:
        """Counterfactuals whose pixels under the mask are the factual's."""
        ...


@dataclass(frozen=True)
class Hidden:
    """A region hidden in the factuals: the share of queries whose decision that changes.

    Attributes:
        region: its name.
        mean: filled with the mean image.
        filled: filled from its neighbours.
    """

    region: str
    mean: Interval
    filled: Interval

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"region": self.region, "mean": self.mean.as_list(), "filled": self.filled.as_list()}


def hide(
    parts: Iterable[Counterfactuals], classifier: Logits, regions: Sequence[Region], image: Tensor
) -> list[Hidden]:
    """The share of decisions that change where a region is hidden, for each region.

    Args:
        parts: counterfactuals, one of each query.
        classifier: the model explained.
        regions: named.
        image: the mean factual (C, H, W).
    """
    turned: list[list[Tensor]] = [[] for _ in regions]
    for cf in parts:
        x, mean = cf.factual, image.to(cf.factual)
        for place, region in enumerate(regions):
            mask = region.mask.to(x.device)
            hidden = (torch.where(mask, mean, x), neighbour_filled(x, mask))
            turned[place].append(torch.stack([classifier(h).argmax(1) != cf.source for h in hidden], 1).cpu())
    return [
        Hidden(region.name, *(_share(column) for column in torch.cat(found).T))
        for region, found in zip(regions, turned, strict=True)
        if found
    ]


def neighbour_filled(x: Tensor, mask: Tensor) -> Tensor:
    """Images (B, C, H, W) with the pixels under a mask (H, W) flown in from around: a harmonic fill."""
    known = (~mask).to(x)[None, None]
    if not bool(mask.any()) or bool(mask.all()):
        return x
    outside = (x * known).sum((2, 3), keepdim=True) / known.sum()
    filled = torch.where(mask, outside, x)
    for _round in range(SPREADS):
        filled = torch.where(mask, F.avg_pool2d(F.pad(filled, (1, 1, 1, 1), mode="replicate"), 3, 1), x)
    return filled


def freeze(method: Explains, x: Tensor, target: Tensor, region: Region) -> Interval:
    """The share of queries x (B, C, H, W), all of which flip, that still do with a region frozen."""
    found = method(x, target, mask=region.mask.to(x.device)[None, None])
    return _share(found.valid)


def _share(values: Tensor) -> Interval:
    share = float(values.double().mean())
    return Interval(share, *wilson(share, len(values)))
