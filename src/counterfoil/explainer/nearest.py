"""The nearest training example of the target class."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Probability
from counterfoil.core.counterfactuals import Found
from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.core.query import Query
from counterfoil.explainer.base import Explainer

NAMED = 5
"""Classes that a warning names at most."""


class Nearest(Explainer):
    """Nearest training example that the classifier gives the target with the requested confidence.

    x' = argmin_{x_i in train, f_t(x_i) >= confidence, argmax f(x_i) = t} d(x, x_i)

    Args:
        any_class: look among the examples of every class but the decision; the row's target is the class of
            the one found.
        distance: "l1" or "l2" between pixels.
        pool: largest number of training examples considered, the first ones; null takes all.
        confidence: see `Explainer`; where no example reaches it, examples that the classifier puts in the
            target class, or in another one, will do, and `fit` warns of the class.
        count: the k-th counterfactual is the k-th nearest example.

    Source of its use as a baseline: Wachter et al. (2017), arXiv 1711.00399, name it the nearest possible
    world that exists.
    """

    needs_gradients = False

    def __init__(
        self,
        classifier: nn.Module,
        *,
        distance: Literal["l1", "l2"] = "l1",
        pool: Count | None = 20_000,
        any_class: bool = False,
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        super().__init__(classifier, confidence=confidence, count=count)
        self.distance = distance
        self.pool = pool
        self.any_class = any_class
        self._examples: Any = None
        self._decision = torch.zeros(0, dtype=torch.int64)
        self._probability = torch.zeros(0)

    def fit(self, data: Any) -> None:
        """Have the classifier grade the training examples once."""
        if not len(data.train):
            raise UserError(
                f"explainer=nearest needs training images, data={data.name} has none; choose data=folder, or "
                "another method"
            )
        self._examples = data.train
        like = next(self.classifier.parameters(), torch.zeros(1))
        number = len(data.train) if self.pool is None else min(self.pool, len(data.train))
        decisions, probabilities = [], []
        with torch.no_grad():
            for start in range(0, number, 512):
                logits = self.classifier(data.train[range(start, min(start + 512, number))].x.to(like))
                top = logits.softmax(1).max(1)
                decisions.append(top.indices.cpu())
                probabilities.append(top.values.cpu())
        self._decision, self._probability = torch.cat(decisions), torch.cat(probabilities)
        if not self.any_class:
            self._tell_unsure([str(name) for name in data.class_names])

    def _tell_unsure(self, names: list[str]) -> None:
        """Warn of classes that no example reaches with the confidence, and name the least sure of them."""
        surest = {
            i: float(self._probability[self._decision == i].max()) for i in set(self._decision.tolist())
        }
        unsure = sorted((most, i) for i, most in surest.items() if most < self.confidence)
        if not unsure:
            return
        told = ", ".join(f"{names[i] if i < len(names) else i} ({most:.8g})" for most, i in unsure[:NAMED])
        warnings.warn(
            f"explainer nearest: in {len(unsure)} of {len(surest)} classes no training example reaches the "
            f"confidence of {self.confidence:g}: {told}{', ...' if len(unsure) > NAMED else ''}; there the "
            "nearest that the classifier puts in the class will do, less sure than that; choose a lower "
            "confidence=",
            CounterfoilWarning,
            stacklevel=3,
        )

    def explain(self, query: Query) -> Found:
        """Look up each target class once for all its queries."""
        if self._examples is None:
            raise UserError("explainer nearest has no examples; call fit(data) with an ImageData first")
        counterfactual, target = query.factual.clone(), query.target.clone()
        wanted = query.source if self.any_class else query.target
        for label in wanted.unique().tolist():
            rows = (wanted == label).nonzero()[:, 0]
            examples = self._candidates(label, query.confidence)
            if len(examples):
                chosen = self._nearest(query[rows], examples)
                counterfactual[rows] = self._examples[chosen].x.to(query.factual)
                target[rows] = self._decision[chosen].to(target)
        zeros = torch.zeros_like(query.target)
        return Found(query.keep(counterfactual), zeros, zeros, target=target if self.any_class else None)

    def _candidates(self, label: int, confidence: float) -> Tensor:
        """Examples of a class, or with `any_class` of the others."""
        mine = self._decision != label if self.any_class else self._decision == label
        sure = mine & (self._probability >= confidence)
        return (sure if bool(sure.any()) else mine).nonzero()[:, 0]

    def _nearest(self, query: Query, examples: Tensor) -> Tensor:
        """The (counterfactual + 1)-th nearest example of each row, by number; distances in chunks."""
        rank = torch.zeros_like(query.target) if query.repeat is None else query.repeat
        distances = torch.cat([self._distances(query, part) for part in examples.split(512)], dim=1)
        order = distances.argsort(dim=1, stable=True)
        chosen = order.gather(1, rank.clamp(max=len(examples) - 1)[:, None])[:, 0]
        return examples[chosen.cpu()]

    def _distances(self, query: Query, examples: Tensor) -> Tensor:
        other = self._examples[examples].x.to(query.factual)
        return query.domain.distances(query.factual, other, 1.0 if self.distance == "l1" else 2.0)
