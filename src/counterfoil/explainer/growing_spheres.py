"""Black-box counterfactuals: random candidates in growing spheres."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Growth, Positive, Probability, Whole
from counterfoil.core.counterfactuals import Found
from counterfoil.core.domain import Continuous
from counterfoil.core.query import Query, probability_of, reaches
from counterfoil.explainer.base import Explainer


class GrowingSpheres(Explainer):
    """Growing spheres: sample ever wider shells around the query, then undo needless changes.

    shell k: x + r * u / ||u||_2,  u ~ N(0, 1),  r in [a_k, a_k + eta],  a_0 = 0;  the nearest candidate that
    reaches the target is kept

    Args:
        eta: width of a shell, in units of the Euclidean norm over pixels.
        growth: factor by which each shell is wider than the last.
        shells: largest number of shells.
        n: candidates in each shell.
        groups: changes are undone in this many groups of pixels, smallest changes first; 0 keeps them all.
        chunk: images per call of the classifier.
        any_class: lead to whichever class but the decision is met first, as the source does; the row's target
            is the class met.
        confidence, count: see `Explainer`.

    Departures: to a target, where the source takes any other class (`any_class`); shells widen by `growth`,
    as fixed ones need hundreds of rounds in image space; instead of shrinking a first ball the first shell
    starts at 0; a group of pixels is undone at once where the paper undoes one feature at a time.
    Source: Inverse Classification for Comparison-based Interpretability in Machine Learning (Laugel et al.,
    2017), arXiv 1712.08443.
    """

    inputs = Continuous
    needs_gradients = False

    def __init__(
        self,
        classifier: nn.Module,
        *,
        eta: Positive = 1.0,
        growth: Growth = 1.3,
        shells: Count = 12,
        n: Count = 100,
        groups: Whole = 32,
        chunk: Count = 1024,
        any_class: bool = False,
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        super().__init__(classifier, confidence=confidence, count=count)
        self.eta = eta
        self.growth = growth
        self.shells = shells
        self.n = n
        self.groups = groups
        self.chunk = chunk
        self.any_class = any_class

    def explain(self, query: Query) -> Found:
        """Only the classifier's outputs are used; no gradient is requested."""
        with torch.no_grad():
            counterfactual, target, found, steps, calls = self._grow(query)
            rows = found.nonzero()[:, 0]
            if self.groups and len(rows):
                counterfactual[rows] = self._undo(query.towards(target)[rows], counterfactual[rows])
                calls[rows] += self.groups
        return Found(counterfactual, steps, calls, target=target if self.any_class else None)

    def _grow(self, query: Query) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        counterfactual = torch.full_like(query.factual, torch.nan)  # stays so where no logits are finite
        top = torch.full_like(query.factual[:, 0, 0, 0], -1.0)
        found = torch.zeros_like(query.target, dtype=torch.bool)
        steps, calls = torch.zeros_like(query.target), torch.zeros_like(query.target)
        target = query.target.clone()
        inner, width = 0.0, self.eta
        for shell in range(self.shells):
            rows = (~found).nonzero()[:, 0]
            if not len(rows):
                break
            image, label, probability, hit = self._shell(query[rows], shell, inner, width)
            better = hit | (probability > top[rows])
            counterfactual[rows[better]] = image[better]
            target[rows[better]] = label[better]
            top[rows[better]] = probability[better]
            found[rows] = hit
            steps[rows] += 1
            calls[rows] += self.n
            inner, width = inner + width, width * self.growth
        return counterfactual, target, found, steps, calls

    def _shell(
        self, query: Query, shell: int, inner: float, width: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Each query's nearest candidate that reaches the target, else its likeliest; its class.

        The probability of that class, and whether it reaches.
        """
        parts = [
            self._best_in_shell(query[rows], shell, inner, width)
            for rows in torch.arange(len(query), device=query.target.device).split(
                max(self.chunk // self.n, 1)
            )
        ]
        image, label, probability, hit = (torch.cat(column) for column in zip(*parts, strict=True))
        return image, label, probability, hit

    def _best_in_shell(
        self, query: Query, shell: int, inner: float, width: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        shape = query.factual.shape[1:]
        direction = query.randn(self.n, math.prod(shape), stream=2 * shell)
        radius = inner + width * query.rand(self.n, 1, stream=2 * shell + 1)
        step = (direction / direction.norm(dim=2, keepdim=True) * radius).unflatten(2, shape)
        images = (query.factual[:, None] + step).clamp(0, 1)
        if query.mask is not None:
            images = torch.where(query.mask[:, None], query.factual[:, None], images)
        logits = torch.cat([query.classifier(part) for part in images.flatten(0, 1).split(self.chunk)])
        target = query.target.repeat_interleave(self.n)
        if self.any_class:
            own = query.source.repeat_interleave(self.n)[:, None]
            target = logits.scatter(1, own, -torch.inf).argmax(1)
        hit = reaches(logits, target, query.confidence).view(len(query), self.n)
        probability = probability_of(logits, target).view(len(query), self.n)
        distance = (images - query.factual[:, None]).flatten(2).norm(dim=2)
        nearest = distance.masked_fill(~hit, torch.inf).argmin(1)
        best = torch.where(hit.any(1), nearest, probability.nan_to_num(-1.0).argmax(1))
        each = torch.arange(len(query), device=best.device)
        label = target.view(len(query), self.n)[each, best]
        return images[each, best], label, probability[each, best], hit[each, best]

    def _undo(self, query: Query, counterfactual: Tensor) -> Tensor:
        """Put groups of pixels back, smallest changes first, wherever the target survives it."""
        change = (counterfactual - query.factual).abs().flatten(1)
        rank = change.argsort(dim=1, stable=True).argsort(dim=1)
        group = (rank * self.groups // change.shape[1]).view_as(counterfactual)
        for k in range(self.groups):
            trial = torch.where(group == k, query.factual, counterfactual)
            logits = torch.cat([query.classifier(part) for part in trial.split(self.chunk)])
            counterfactual = torch.where(query.reached(logits)[:, None, None, None], trial, counterfactual)
        return counterfactual
