"""IM1 and IM2: likeness of the counterfactual to its class, by autoencoders of each class and of all."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from counterfoil.core.bounds import Positive
from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.domain import Continuous
from counterfoil.metric.base import SampleMetric
from counterfoil.metric.network import Borrowed

ALL = -1
"""Stands for the autoencoder of all classes."""


class Autoencoders(Protocol):
    """One autoencoder per class and one of all classes."""

    def reconstruct(self, x: Tensor, which: Tensor) -> Tensor:
        """x (B, C, H, W) in [0, 1], redrawn by the autoencoders `which` (B,) int64; -1: that of all."""
        ...


class _Manifold(SampleMetric):
    higher_is_better = False
    also_valid = True
    reads = Continuous

    def __init__(self, autoencoders: Autoencoders | None, epsilon: Positive = 1e-5) -> None:
        super().__init__()
        self._autoencoders = Borrowed(autoencoders, self.name, "autoencoder")
        self.epsilon = epsilon

    def _reconstruct(self, x: Tensor, which: Tensor) -> Tensor:
        return self._autoencoders(x, which, method="reconstruct")


class IM1(_Manifold):
    """Error of the target class's autoencoder on the counterfactual, over that of the original class's.

    ||x' - AE_t(x')||² / (||x' - AE_y(x')||² + eps), in [0, inf), y the classifier's decision on the factual;
    1 where t = y, below 1 nearer to the target.

    Args:
        autoencoders: of one class each.
        epsilon: keeps the ratio finite.

    Source: Interpretable Counterfactual Explanations Guided by Prototypes (Van Looveren & Klaise, 2019),
    arXiv 1907.02584
    """

    name = "im1"
    label = "IM1"
    minimum = 0.0
    main = True

    def score(self, cf: Counterfactuals) -> Tensor:
        x = cf.counterfactual
        return _squared(x - self._reconstruct(x, cf.target)) / (
            _squared(x - self._reconstruct(x, cf.source)) + self.epsilon
        )


class IM2(_Manifold):
    """How much the target class's autoencoder disagrees with that of all classes about the counterfactual.

    ||AE_t(x') - AE_all(x')||² / (||x'||_1 + eps), in [0, inf); the norms are sums over pixels and channels,
    so that the value depends on the range of the pixels, [0, 1] here.

    Args:
        autoencoders: of one class each and of all classes.
        epsilon: keeps the ratio finite.

    Departures: published tables often show it times ten.
    Source: Interpretable Counterfactual Explanations Guided by Prototypes (Van Looveren & Klaise, 2019),
    arXiv 1907.02584
    """

    name = "im2"
    label = "IM2"
    minimum = 0.0

    def score(self, cf: Counterfactuals) -> Tensor:
        x = cf.counterfactual
        difference = self._reconstruct(x, cf.target) - self._reconstruct(x, torch.full_like(cf.target, ALL))
        return _squared(difference) / (x.abs().flatten(1).sum(1) + self.epsilon)


def _squared(x: Tensor) -> Tensor:
    return x.square().flatten(1).sum(1)
