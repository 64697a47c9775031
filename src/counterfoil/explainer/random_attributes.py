"""Attributes turned at random until the decision turns: the baseline of searches over attributes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from counterfoil.core.bounds import Count, Probability
from counterfoil.core.counterfactuals import Found
from counterfoil.core.errors import UserError
from counterfoil.core.generator import Decodes, Encodes, attribute_names, require
from counterfoil.core.query import Query, probability_of
from counterfoil.explainer.base import Explainer
from counterfoil.search import Attributes, Variables


class RandomAttributes(Explainer):
    """Turns ever more attributes to their farther end and keeps the first counterfactual.

    x' = G(E(x), a) with the first k attributes of a random order turned, k = 1, 2, ...; without a
    counterfactual the likeliest point.

    Args:
        generator: edits attributes, or is conditioned on the class.
        tries: random orders per query.
        free, frozen: names of the attributes that may change (None: all), and of those that must not.
        confidence, count: see `Explainer`.

    Source of its use as a baseline: ours.
    """

    needs_gradients = False

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None,
        *,
        tries: Count = 10,
        free: Sequence[str] | None = None,
        frozen: Sequence[str] = (),
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        require(generator, Encodes, Decodes, method="random_attributes")
        names = attribute_names(generator, classifier)
        if not names:
            raise UserError(
                "explainer random_attributes needs a generator with attributes, found "
                f"{type(generator).__name__}"
            )
        super().__init__(classifier, generator, confidence=confidence, count=count)
        self.tries = tries
        self.space = Attributes(names, free=free, frozen=frozen)

    def explain(self, query: Query) -> Found:
        """Try all orders at one length before any at the next."""
        with torch.no_grad():
            start = self.space.start(query)
            best = _Best(query, start)
            orders = self._orders(query)
            for k in range(1, sum(self.space.free) + 1):
                for order in orders:
                    rows = (~best.found).nonzero()[:, 0]
                    if not len(rows):
                        break
                    best.update(rows, query[rows], self.space, _turned(start, order, k))
        point = {**start, "a": best.a}
        changes, extra = self.space.changes(point), self.space.extra(point)
        return Found(best.image, best.calls - 1, best.calls, changes=changes, extra=extra)

    def _orders(self, query: Query) -> Tensor:
        """The rank of each attribute in each order (tries, B, A); frozen ones come last."""
        draws = query.rand(self.tries, len(self.space.names), stream=2)
        frozen = ~torch.tensor(self.space.free, device=draws.device)
        return (draws + 2 * frozen).argsort(2).argsort(2).transpose(0, 1)


def _turned(start: Variables, rank: Tensor, k: int) -> Variables:
    return {**start, "a": torch.where(rank < k, (start["a0"] < 0.5).to(start["a0"]), start["a0"])}


class _Best:
    """The best point so far of each query."""

    def __init__(self, query: Query, start: Variables) -> None:
        logits = query.classifier(query.keep(start["reconstruction"]))
        self.image, self.a = query.keep(start["reconstruction"]).clone(), start["a0"].clone()
        self.probability, self.found = probability_of(logits, query.target), query.reached(logits)
        self.calls = torch.ones_like(query.target)

    def update(self, rows: Tensor, query: Query, space: Attributes, variables: Variables) -> None:
        """Grade one point of each row."""
        part = {name: value[rows] for name, value in variables.items()}
        image = query.keep(space.decode(query, part))
        logits = query.classifier(image)
        reached, probability = query.reached(logits), probability_of(logits, query.target)
        better = reached | (probability > self.probability[rows])
        chosen = rows[better]
        self.calls[rows] += 1
        self.image[chosen], self.a[chosen], self.probability[chosen] = (
            image[better],
            part["a"][better],
            probability[better],
        )
        self.found[rows] |= reached
