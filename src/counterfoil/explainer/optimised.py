"""A method that is a recipe: a space, an objective and a search."""

from __future__ import annotations

from torch import nn

from counterfoil.core.counterfactuals import Found
from counterfoil.core.query import Query
from counterfoil.explainer.base import Explainer
from counterfoil.search import Objective, Search, Space


class OptimisedExplainer(Explainer):
    """Runs `search` over `space` for `objective`; a published method subclasses it with a constructor and nothing else.

    Args:
        space: where to search.
        objective: what to want.
        search: how to look.
        others: see `Explainer`.
    """

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None = None,
        *,
        space: Space,
        objective: Objective,
        search: Search,
        confidence: float = 0.5,
        count: int = 1,
    ) -> None:
        super().__init__(classifier, generator, confidence=confidence, count=count)
        self.space = space
        self.objective = objective
        self.search = search

    def explain(self, query: Query) -> Found:
        """The nearest answer the search finds for each query."""
        return self.search(query, self.space, self.objective)
