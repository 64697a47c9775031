"""A method that is a recipe: a space, an objective and a search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from torch import nn

from counterfoil.core.bounds import Count, Probability, Share
from counterfoil.core.counterfactuals import Found
from counterfoil.core.domain import require_domain
from counterfoil.core.query import Query
from counterfoil.explainer.base import Explainer
from counterfoil.explainer.gate import check_reconstruction
from counterfoil.search import Objective, Search, Space, nearer


class OptimisedExplainer(Explainer):
    """Runs `search` over `space` for `objective`; a published method adds a constructor alone.

    Args:
        space: where to search.
        objective: what to want.
        search: the loop over them.
        elsewhere: spaces that are searched as well, one after the other; of each query the counterfactual
            that changes least is kept.
        ask: makes the query that the search explains in place of the given one; None: the given one.
        gate: least share of reconstructions that must keep the classifier's decision, checked by `fit`; 0
            checks nothing.
        others: see `Explainer`.

    Raises:
        UserError: a classifier whose inputs the space cannot move.
    """

    def __init__(
        self,
        classifier: nn.Module,
        generator: nn.Module | None = None,
        *,
        space: Space,
        objective: Objective,
        search: Search,
        elsewhere: Sequence[Space] = (),
        ask: Callable[[Query], Query] | None = None,
        gate: Share = 0.0,
        confidence: Probability = 0.5,
        count: Count = 1,
    ) -> None:
        super().__init__(classifier, generator, confidence=confidence, count=count)
        self.space = space
        self.objective = objective
        self.search = search
        self.elsewhere = list(elsewhere)
        for each in (space, *elsewhere):
            require_domain(classifier, each.inputs, method=type(self).__name__.lower())
        self.asks_all = search.last
        self.ask = ask
        self.gate = gate

    def fit(self, data: Any) -> None:
        """Prepare the space and the terms, and check that the generator keeps the classifier's decisions."""
        for space in (self.space, *self.elsewhere):
            space.fit(self.classifier, self.generator, data)
        if self.gate:
            check_reconstruction(
                self.space, self.classifier, self.generator, data, self.gate, type(self).__name__.lower()
            )
        for term in self.objective.terms.values():
            term.fit(self.classifier, data)

    @property
    def refills(self) -> bool:  # type: ignore[override]
        """Whether the search refills its places in this space."""
        return not self.elsewhere and self.search.refills(self.space)

    def explain(self, query: Query) -> Found:
        """The nearest counterfactual the search finds for each query."""
        query = query if self.ask is None else self.ask(query)
        found = self.search(query, self.space, self.objective)
        for space in self.elsewhere:
            found = nearer(query, found, self.search(query, space, self.objective))
        return found

    def explain_each(self, queries: Iterable[Query]) -> Iterator[tuple[int, Found]]:
        """The same for each batch, side by side where the search refills its places."""
        if not self.refills:
            yield from super().explain_each(queries)
            return
        asked = queries if self.ask is None else map(self.ask, queries)
        yield from self.search.stream(asked, self.space, self.objective)
