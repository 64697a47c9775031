"""Terms of an objective, each one value per query."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from counterfoil.core.bounds import Weight
from counterfoil.core.options import shows_options
from counterfoil.core.query import Query
from counterfoil.search.candidate import Candidate, scheduled

Schedule = Callable[[float], float]
"""A weight as a function of the search's progress in [0, 1]."""


@shows_options
class Term(ABC):
    """A stateless quantity to make small.

    Args:
        weight: factor in the objective, a number or a function of the search's progress in [0, 1].
    """

    images: int = 0
    """Further images that the classifier is shown whenever the term is evaluated, and once for the factual.
    """
    siblings: bool = False
    """Whether it looks at the other counterfactuals of a query (`count` > 1), see `Candidate.siblings`. They
    are then searched side by side until all of them are finished. A distance may not."""

    def __init__(self, weight: Weight | Schedule = 1.0) -> None:
        self.weight = weight

    def layers(self, classifier: nn.Module) -> tuple[str, ...]:
        """Layers of the classifier whose activations the term reads off a candidate; none by default."""
        return ()

    def fit(self, classifier: nn.Module, data: Any) -> None:
        """Look at the data (an `ImageData`) before anything is explained; nothing by default."""
        return

    @abstractmethod
    def __call__(self, query: Query, candidate: Candidate) -> Tensor:
        """The unweighted value of each query: (B,)."""

    def weigh(self, value: Tensor, candidate: Candidate) -> Tensor:
        """The values (B,) times the weight at the candidate's progress."""
        schedule = self.weight
        weight = scheduled(lambda at: [schedule(at)], candidate)[0] if callable(schedule) else schedule
        return value if isinstance(weight, float) and weight == 1 else weight * value


class L1(Term):
    """mean |x' - x| over pixels and channels."""

    def __call__(self, query: Query, candidate: Candidate) -> Tensor:
        """Mean absolute difference, in [0, 1]."""
        return (candidate.decoded - query.factual).abs().flatten(1).mean(1)


class L2(Term):
    """mean (x' - x)^2 over pixels and channels."""

    def __call__(self, query: Query, candidate: Candidate) -> Tensor:
        """Mean squared difference, in [0, 1]."""
        return (candidate.decoded - query.factual).square().flatten(1).mean(1)


@shows_options
class Objective:
    """tradeoff_b * flip + sum_i weight_i * term_i, one value per query.

    Args:
        flip: the term that pulls to the target; carries the per-query trade-off.
        distance: the term that keeps the counterfactual near; also ranks valid counterfactuals.
        terms: further terms by name.
    """

    def __init__(self, flip: Term, distance: Term, **terms: Term) -> None:
        self.flip = flip
        self.distance = distance
        self.terms = terms

    @property
    def all(self) -> Mapping[str, Term]:
        """Every term by name."""
        return {"flip": self.flip, "distance": self.distance, **self.terms}

    @property
    def images(self) -> int:
        """Further images that the classifier is shown at an evaluation of the objective."""
        return sum(term.images for term in self.all.values())

    @property
    def siblings(self) -> bool:
        """Whether some term looks at the other counterfactuals of a query."""
        return any(term.siblings for term in self.all.values())

    def layers(self, classifier: nn.Module) -> tuple[str, ...]:
        """Layers of the classifier whose activations some term reads, each once."""
        return tuple(dict.fromkeys(name for term in self.all.values() for name in term.layers(classifier)))

    def __call__(
        self, query: Query, candidate: Candidate, tradeoff: Tensor, distance: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The total (B,) under trade-offs (B,), given the distance term's value (B,).

        And each term unweighted, for logs.
        """
        parts = {"flip": self.flip(query, candidate), "distance": distance}
        parts.update({name: term(query, candidate) for name, term in self.terms.items()})
        total = self.flip.weigh(tradeoff, candidate) * parts["flip"]
        for name, term in {"distance": self.distance, **self.terms}.items():
            total = total + term.weigh(parts[name], candidate)
        return total, parts
