"""Distances of counterfactual and factual, over all rows and over the valid ones: failing wins nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from counterfoil.core.bounds import Decay
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.domain import Continuous
from counterfoil.metric.base import SampleMetric


class L1(SampleMetric):
    """Mean absolute change of a pixel.

    mean over pixels and channels of |x' - x|, in [0, 1].
    Departures: some public code sums over the channels or over all pixels.
    """

    name = "l1"
    label = "L1"
    minimum = 0.0
    maximum = 1.0
    main = True
    role = "distance"
    higher_is_better = False
    also_valid = True
    reads = Continuous

    def score(self, cf: Counterfactuals) -> Tensor:
        return cf.delta.abs().flatten(1).mean(1)


class L2(SampleMetric):
    """Euclidean length of the change of the image.

    ||x' - x||_2 over pixels and channels, in [0, sqrt(C H W)].
    """

    name = "l2"
    label = "L2"
    minimum = 0.0
    main = True
    role = "distance"
    higher_is_better = False
    also_valid = True
    reads = Continuous

    def score(self, cf: Counterfactuals) -> Tensor:
        length: Tensor = torch.linalg.vector_norm(cf.delta.flatten(1), dim=1)
        return length


class LInf(SampleMetric):
    """Largest change of any pixel.

    max over pixels and channels of |x' - x|, in [0, 1].
    """

    name = "linf"
    label = "L∞"
    minimum = 0.0
    maximum = 1.0
    role = "distance"
    higher_is_better = False
    also_valid = True
    reads = Continuous

    def score(self, cf: Counterfactuals) -> Tensor:
        return cf.delta.abs().flatten(1).amax(1)


class Sparsity(SampleMetric):
    """Share of the pixels that change visibly; less is better.

    mean over pixels of 1[max over channels of |x' - x| > tau], in [0, 1].

    Args:
        tau: the smallest change that counts, exclusive, in [0, 1).
    """

    name = "sparsity"
    unit = "%"
    minimum = 0.0
    maximum = 1.0
    main = True
    role = "distance"
    higher_is_better = False
    also_valid = True
    reads = Continuous

    def __init__(self, tau: Decay = 0.1) -> None:
        super().__init__()
        self.tau = tau

    def score(self, cf: Counterfactuals) -> Tensor:
        return (cf.delta.abs().amax(1) > self.tau).flatten(1).float().mean(1)
