"""Several counterfactuals of one query that change it in different ways."""

from __future__ import annotations

import torch
from torch import Tensor

from counterfoil.core.query import Query
from counterfoil.search.candidate import Candidate
from counterfoil.search.term import Term


class Diversity(Term):
    """mean_{j != i} cos^2(x'_i - x, x'_j - x) over the counterfactuals j of the same query.

    0 where there is only one (`count` = 1).

    Departures: over changes of pixels and squared, where the source takes codes, and the root of the sum.
    Source: Beyond Trivial Counterfactual Explanations with Diverse Valuable Explanations (Rodriguez et al.,
    2021), arXiv 2103.10226.
    """

    siblings = True

    def __call__(self, query: Query, candidate: Candidate) -> Tensor:
        """How alike each row's change is to those of its siblings (B,), in [0, 1]."""
        change = (candidate.decoded - query.factual).flatten(1)
        if candidate.siblings is None or candidate.siblings.shape[1] < 2:
            return 0.0 * change.sum(1)
        # a change of 0, as at the start, is like no other, and has a gradient
        others = change[candidate.siblings]
        along = (change[:, None] * others).sum(2).square()
        sizes = (change.square().sum(1)[:, None] + TINY) * (others.square().sum(2) + TINY)
        itself = candidate.siblings == torch.arange(len(change), device=change.device)[:, None]
        return (along / sizes).masked_fill(itself, 0.0).sum(1) / (others.shape[1] - 1)


TINY = 1e-6
"""Squared length of a change that is told from none."""
