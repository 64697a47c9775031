"""Stay where a generative model can draw: its error of reconstruction as a term."""

from __future__ import annotations

from torch import Tensor

from counterfoil.core.query import Query
from counterfoil.search.candidate import Candidate
from counterfoil.search.space import condition_of
from counterfoil.search.term import Term


class Redrawn(Term):
    """sum (x' - G(E(x')))^2 over pixels and channels; a conditional model redraws under the target.

    Source: Explanations based on the Missing: Towards Contrastive Explanations with Pertinent Negatives
    (Dhurandhar et al., 2018), arXiv 1802.07623.
    """

    def __call__(self, query: Query, candidate: Candidate) -> Tensor:
        """The squared error (B,) of the candidate's reconstruction."""
        condition, x = condition_of(query, query.target), candidate.decoded
        redrawn: Tensor = query.generator.decode(query.generator.encode(x, condition), condition)
        return (x - redrawn).square().flatten(1).sum(1)
