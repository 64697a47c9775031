"""Towards the prototype of the target class, in the code of a generative model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Share, Weight
from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.search.candidate import Candidate
from counterfoil.search.elastic import Shrinking
from counterfoil.search.neighbours import decided, distances
from counterfoil.search.space import condition_of
from counterfoil.search.term import Term


class Guided(Shrinking):
    """`Shrinking`, which remembers the prototype of each query's target.

    proto_t = the mean of the `nearest` codes to E(x) of training images in which the classifier sees t

    Args:
        nearest: codes that make a prototype.
        pool: largest number of training images, the first ones.
        threshold, absent, spread: see `Shrinking`.

    Raises:
        UserError: no prototypes, since the explainer was not fitted or the data have no training images.
    """

    def __init__(
        self,
        nearest: Count = 20,
        *,
        pool: Count = 5000,
        threshold: Weight = 0.1,
        absent: Share | None = None,
        spread: Weight = 0.2,
    ) -> None:
        super().__init__(threshold, absent, spread)
        self.nearest = nearest
        self.pool = pool
        self._codes = torch.zeros(0)
        self._decision = torch.zeros(0, dtype=torch.int64)

    def fit(self, classifier: nn.Module, generator: Any, data: Any) -> None:
        """Encode the training images, by the classifier's decision on them."""
        if not len(data.train):
            raise UserError(
                f"explainer prototype needs training images, data={data.name} has none; choose other data"
            )
        codes, decisions = [], []
        with torch.no_grad():
            for query in decided(classifier, generator, data, self.pool):
                codes.append(generator.encode(query.factual, condition_of(query, query.target)))
                decisions.append(query.target)
        self._codes, self._decision = torch.cat(codes), torch.cat(decisions)

    def prepare(self, query: Query) -> None:
        """Look up each query's prototype."""
        super().prepare(query)
        query.remember("prototype", lambda: self._prototypes(query))

    @torch.no_grad()
    def _prototypes(self, query: Query) -> Tensor:
        if not len(self._codes):
            raise UserError("explainer prototype has no prototypes; call fit(data) with an ImageData first")
        own: Tensor = query.generator.encode(query.factual, condition_of(query, query.source))
        found = own.clone()  # where no training image is seen as the target nothing pulls
        for target in query.target.unique().tolist():
            rows = (query.target == target).nonzero()[:, 0]
            codes = self._codes[self._decision == target].to(own)
            if len(codes):
                near = distances(own[rows], codes).argsort(dim=1, stable=True)[:, : self.nearest]
                found[rows] = codes[near].mean(1)
        return found


class Prototype(Term):
    """||E(x') - proto_t||^2 in the code of the generative model, over a `Guided` space.

    Source: Interpretable Counterfactual Explanations Guided by Prototypes (Van Looveren and Klaise, 2019),
    arXiv 1907.02584.
    """

    def __call__(self, query: Query, candidate: Candidate) -> Tensor:
        """The squared distance (B,) from the prototype."""
        code: Tensor = query.generator.encode(candidate.decoded, condition_of(query, query.target))
        return (code - query.remembered["prototype"]).square().flatten(1).sum(1)
