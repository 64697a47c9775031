"""Realism of counterfactuals beside the factuals of other queries: a copy of its own factual wins nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchmetrics.utilities.data import dim_zero_cat

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.metric.base import SetMetric
from counterfoil.metric.network import Borrowed
from counterfoil.metric.realism import covariance, frechet


class SplitFID(SetMetric):
    """Fréchet distance between counterfactuals of one half of the queries and factuals of the other half.

    (d(x'_A, x_B) + d(x'_B, x_A)) / 2 with d the Fréchet distance of the judge's features, in [0, inf); A and
    B are halves of the queries, drawn with a fixed seed. No counterfactual meets its own factual. A method
    that leaves the input as it is has the distance of two halves of the data, not 0.

    Args:
        judge: an independent classifier with `embed`, images (B, C, H, W) in [0, 1] -> (B, D).

    Departures: features of the judge, not of an Inception network; one split, not several; not comparable
    with published values.
    Source: Adversarial Counterfactual Visual Explanations (Jeanneret, Simon & Jurie, 2023), arXiv 2303.09962,
    "sFID"
    """

    name = "split_fid"
    label = "Split FID (judge)"
    minimum = 0.0
    higher_is_better = False

    _query: list[Tensor]

    def __init__(self, judge: nn.Module | None) -> None:
        super().__init__()
        self._judge = Borrowed(judge, self.name, "judge")
        self.add_state("_query", default=[], dist_reduce_fx="cat")

    @property
    def fewest(self) -> int:  # type: ignore[override]
        """Rows for one more in each half than there are features."""
        return 2 * (self.features.shape[1] // 2 + 1)

    def embed(self, x: Tensor) -> Tensor:
        return self._judge(x, method="embed")

    def update(self, cf: Counterfactuals) -> None:
        """Keep the features (B, 2 D) of counterfactuals and factuals of a batch, and their queries."""
        if len(cf):
            self.keep(cf, torch.cat([self.embed(cf.counterfactual), self.embed(cf.factual)], dim=1).detach())
            self._query.append(cf.query.cpu().clone())

    def weighted(self, weights: Tensor) -> Tensor:
        usable = self.usable
        found, own = torch.where(usable[:, None], self.features, 0.0).chunk(2, dim=1)
        first = self._first_half()
        kept = weights.cpu().double() * usable
        return torch.stack([self._distance(found, own, row, first) for row in kept])

    def _first_half(self) -> Tensor:
        """Whether the query of each row is in the first half: bool (N,)."""
        query = dim_zero_cat(self._query) if len(self._query) else torch.zeros(0, dtype=torch.int64)
        queries, place = query.unique(return_inverse=True)
        order = torch.randperm(len(queries), generator=torch.Generator().manual_seed(0))
        return (order < len(queries) / 2)[place]

    def _distance(self, found: Tensor, own: Tensor, weights: Tensor, first: Tensor) -> Tensor:
        halves = weights * first, weights * ~first
        if min(float(half.sum()) for half in halves) < 2:
            return torch.tensor(torch.nan, dtype=torch.float64)
        moments = [(_mean(x, w), covariance(x, w)) for x in (found, own) for w in halves]
        found_a, found_b, own_a, own_b = moments
        return (frechet(*found_a, *own_b) + frechet(*found_b, *own_a)) / 2


def _mean(x: Tensor, weights: Tensor) -> Tensor:
    return weights @ x / weights.sum()
