"""COUT: whether the pixels that changed most carry the decision."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.domain import Continuous
from counterfoil.metric.base import SampleMetric
from counterfoil.metric.network import CHUNK, Borrowed


class COUT(SampleMetric):
    """How early the most changed pixels, inserted first, move the classifier to the target.

    AUC of f_t minus AUC of f_y along x_0 = x, ..., x_S = x', where x_s has the s/S most changed pixels (by
    the sum of |x' - x| over channels, ties by position) taken from x', and y is the classifier's decision on
    x. The area is the trapezoid rule over the share of pixels inserted, from exactly 0 to exactly 1, so the
    value is in [-1, 1]. For x' = x it is f_t(x) - f_y(x): a counterfactual that changes nothing is no better
    than one that tries and fails.

    Args:
        classifier: the classifier explained, images (B, C, H, W) in [0, 1] -> logits (B, K).
        steps: S, the number of insertions, at most one per pixel.

    Departures: the areas are normalised by the true step widths, and there is no min-max scaling of the
    change, which leaves the order as it is but divides by zero for x' = x.
    Source: Cycle-Consistent Counterfactuals by Latent Transformations (Khorram & Fuxin, 2022), arXiv
    2203.15064
    """

    name = "cout"
    label = "COUT"
    minimum = -1.0
    maximum = 1.0
    main = True
    higher_is_better = True
    also_valid = True
    reads = Continuous

    def __init__(self, classifier: nn.Module | None, steps: Count = 50) -> None:
        super().__init__()
        self._classifier = Borrowed(classifier, self.name, "classifier")
        self.steps = steps

    def score(self, cf: Counterfactuals) -> Tensor:
        rows = max(1, CHUNK // (self.steps + 1))
        return torch.cat([self._rows(cf[first : first + rows]) for first in range(0, len(cf), rows)])

    def _rows(self, cf: Counterfactuals) -> Tensor:
        change = cf.delta.abs().sum(1)
        inserted = _insertions(change, self.steps)
        path = torch.where(inserted[:, :, None], cf.counterfactual[:, None], cf.factual[:, None])
        probabilities = torch.unflatten(self._classifier(path.flatten(0, 1)).softmax(1), 0, path.shape[:2])
        chosen = torch.stack((cf.target, cf.source), dim=1)[:, None].expand(-1, path.shape[1], -1)
        target, source = probabilities.gather(2, chosen).unbind(2)
        return torch.trapezoid(target - source, inserted[0].flatten(1).float().mean(1).to(target), dim=1)


def _insertions(change: Tensor, steps: int) -> Tensor:
    """Which pixels are inserted at each of S + 1 steps: change (B, H, W) -> bool (B, S + 1, H, W)."""
    rank = change.flatten(1).argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    pixels = rank.shape[1]
    counts = torch.linspace(0, pixels, min(steps, pixels) + 1, dtype=torch.float64).round().to(rank)
    return torch.unflatten(rank[:, None] < counts[:, None], 2, change.shape[1:])
