"""The query as it is: the floor of a comparison."""

from __future__ import annotations

from counterfoil.core.counterfactuals import Found
from counterfoil.core.query import Query
from counterfoil.explainer.base import Explainer


class Unchanged(Explainer):
    """Returns every query as it is; with corrupted queries, the row of the corruption itself.

    x' = x

    Args:
        confidence, count: see `Explainer`.

    Source of its use as a baseline: ours.
    """

    needs_gradients = False

    def explain(self, query: Query) -> Found:
        """Hand back the factuals, in 0 steps."""
        zeros = query.target.new_zeros(len(query))
        return Found(query.factual.clone(), zeros, zeros)
