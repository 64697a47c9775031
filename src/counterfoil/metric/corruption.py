"""Counterfactuals of corrupted queries compared with the clean queries and their counterfactuals."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.metric.base import SampleMetric

UNCHANGED = 0.1
"""A pixel that the counterfactual of the clean query moves by no more than this is left alone."""


class L1ToClean(SampleMetric):
    """Mean absolute difference to the query before it was corrupted.

    mean |x' - x|, x the clean image, over pixels and channels, in [0, 1]; `l1` where nothing was corrupted.
    """

    name = "l1_to_clean"
    label = "L1 to the clean query"
    minimum = 0.0
    maximum = 1.0
    higher_is_better = False

    def score(self, cf: Counterfactuals) -> Tensor:
        return (cf.counterfactual - _clean(cf)).abs().flatten(1).mean(1)


class L1ToReference(SampleMetric):
    """Mean absolute difference to the method's own counterfactual of the clean query.

    mean |x' - x'_0|, over pixels and channels, in [0, 1]; 0 where nothing was corrupted. Needs
    reference=true.
    """

    name = "l1_to_reference"
    label = "L1 to the clean counterfactual"
    minimum = 0.0
    maximum = 1.0
    higher_is_better = False

    def score(self, cf: Counterfactuals) -> Tensor:
        return (cf.counterfactual - _reference(cf, self.name)).abs().flatten(1).mean(1)


class Removed(SampleMetric):
    """Share of the corruption that is gone where the counterfactual of the clean query changes nothing.

    1 - |x' - x| / |x_c - x|, Euclidean, over the pixels where |x'_0 - x| <= 0.1 in all channels; x the clean
    query, x_c the corrupted one, x'_0 the method's counterfactual of x. 1: all is gone, 0: all of it stayed,
    below 0: it grew; not defined where there was none. Needs reference=true.
    """

    name = "removed"
    unit = "%"
    maximum = 1.0
    higher_is_better = True

    def score(self, cf: Counterfactuals) -> Tensor:
        clean = _clean(cf)
        kept = (_reference(cf, self.name) - clean).abs().amax(1, keepdim=True) <= UNCHANGED
        left, whole = (
            (image - clean).masked_fill(~kept, 0).flatten(1).norm(dim=1)
            for image in (cf.counterfactual, cf.factual)
        )
        return torch.where(whole > 0, 1 - left / whole, torch.nan)


class SquareError(SampleMetric):
    """Mean absolute difference to the clean image inside the painted square.

    mean |x' - x| over the square's pixels and all channels, in [0, 1].

    Args:
        corruption: `Square(place="middle")`; None: the metric is not defined.

    Raises:
        UserError: another corruption, or a square at a random place.
    """

    name = "square_error"
    minimum = 0.0
    maximum = 1.0
    higher_is_better = False

    def __init__(self, corruption: Any = None) -> None:
        super().__init__()
        if corruption is not None and not hasattr(corruption, "inside"):
            raise UserError(
                f"metric={self.name} needs corruption=square, found {type(corruption).__name__}; "
                "leave it out of metric="
            )
        self.corruption = corruption

    def score(self, cf: Counterfactuals) -> Tensor:
        return self._inside(cf, cf.counterfactual - _clean(cf))

    def _inside(self, cf: Counterfactuals, difference: Tensor) -> Tensor:
        """The mean absolute difference (B,) over the square."""
        if self.corruption is None:
            return torch.full((len(cf),), torch.nan, device=cf.factual.device)
        inside = self.corruption.inside(cf.factual).expand_as(cf.factual)
        error = difference.abs().masked_fill(~inside, 0).flatten(1).sum(1)
        mean: Tensor = error / inside[0].count_nonzero()
        return mean


class SquareChange(SquareError):
    """Mean absolute difference to the painted image inside the square.

    mean |x' - x_c| over the square's pixels and all channels, in [0, 1]: 0 where the paint stays as it is.
    See `SquareError`.
    """

    name = "square_change"
    higher_is_better = None  # type: ignore[assignment]

    def score(self, cf: Counterfactuals) -> Tensor:
        return self._inside(cf, cf.delta)


def _clean(cf: Counterfactuals) -> Tensor:
    return cf.factual if cf.clean is None else cf.clean


def _reference(cf: Counterfactuals, metric: str) -> Tensor:
    """The counterfactuals of the clean queries; those of the queries where they are clean."""
    if cf.clean is None:
        return cf.counterfactual
    if cf.reference is None:
        raise UserError(
            f"metric={metric} needs the counterfactuals of the clean queries; set reference=true, "
            "or leave it out of metric="
        )
    return cf.reference
