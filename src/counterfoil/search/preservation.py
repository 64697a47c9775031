"""Nearness to the query in the classifier's layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Positive, Weight, checks_options
from counterfoil.core.query import Query
from counterfoil.core.taps import default_taps
from counterfoil.search.candidate import Candidate, scheduled
from counterfoil.search.term import Schedule, Term

Curriculum = Callable[[float, int], Sequence[float]]
"""The weight of each of n layers, shallow to deep, at a progress in [0, 1]."""
EPS = 1e-4
"""Added to the mean square of the factual's activations."""


class FeaturePreservation(Term):
    """sum_l v_l mean (Psi_l(x') - Psi_l(x))^2 / (mean Psi_l(x)^2 + eps).

    Pixels are layer 0. The denominator lets layers of any size compare.

    Args:
        weight: see `Term`.
        names: layers of the classifier, shallow to deep; None: those that it names itself, or some of its
            convolutions.
        pixels: whether pixels are a layer.
        curriculum: weights v_l over the search; None: 1.
    """

    def __init__(
        self,
        weight: Weight | Schedule = 1.0,
        *,
        names: Sequence[str] | None = None,
        pixels: bool = True,
        curriculum: Curriculum | None = None,
    ) -> None:
        super().__init__(weight)
        self.names = None if names is None else tuple(names)
        self.pixels = pixels
        self.curriculum = curriculum

    def layers(self, classifier: nn.Module) -> tuple[str, ...]:
        """The layers compared."""
        return default_taps(classifier) if self.names is None else self.names

    def __call__(self, query: Query, candidate: Candidate) -> Tensor:
        """The weighted sum (B,) of the relative distances, each >= 0."""
        names = self.layers(query.classifier)
        known = query.features(names)
        pairs = [(candidate.decoded, query.factual)] * self.pixels + [
            (candidate.features[name], known[name]) for name in names
        ]
        curriculum = self.curriculum
        weights: Sequence[float | Tensor] = [1.0] * len(pairs)
        if curriculum is not None:
            weights = scheduled(lambda progress: curriculum(progress, len(pairs)), candidate)
        terms = [
            weight * relative(*pair)
            for weight, pair in zip(weights, pairs, strict=True)
            if isinstance(weight, Tensor) or weight
        ]
        return torch.stack(terms).sum(0) if terms else torch.zeros_like(candidate.logits[:, 0])


@checks_options
@dataclass(frozen=True)
class Dropping:
    """Progressive schedule P1: every layer at first, then without the shallowest one, and so on.

    Attributes:
        every: share of the search after which one more layer is dropped, > 0.
        keep: layers, the deepest, that stay to the end, >= 1.

    Source of the idea: Designing Counterfactual Generators using Deep Model Inversion (Thiagarajan et al.,
    2021), arXiv 2109.14274.
    """

    every: Positive
    keep: Count = 2

    def __call__(self, progress: float, layers: int) -> Sequence[float]:
        """0 for each layer dropped, 1 for the others."""
        dropped = min(int(progress / self.every + 1e-9), max(layers - self.keep, 0))
        return [0.0] * dropped + [1.0] * (layers - dropped)


def relative(a: Tensor, b: Tensor) -> Tensor:
    """mean (a - b)^2 / (mean b^2 + eps) of each row: (B,)."""
    return (a - b).square().flatten(1).mean(1) / (b.square().flatten(1).mean(1) + EPS)
