"""Several counterfactuals of one query that change it in different ways."""

from __future__ import annotations

import torch
from torch import Tensor

from counterfoil.core.bounds import Weight
from counterfoil.core.query import Query
from counterfoil.search.candidate import Candidate
from counterfoil.search.term import Schedule, Term


class Diversity(Term):
    """mean_{j != i} cos^2(x'_i - x, x'_j - x) over the counterfactuals j of the same query.

    0 where there is only one (`count` = 1).

    Args:
        weight: see `Term`.
        code: over changes of the variable "z" from "z0", which the space holds, as the source has it; False:
            of pixels.

    Departures: a mean of squares, as the source's code, where its paper has the root of the sum.
    Source: Beyond Trivial Counterfactual Explanations with Diverse Valuable Explanations (Rodriguez et al.,
    2021), arXiv 2103.10226.
    """

    siblings = True

    def __init__(self, weight: Weight | Schedule = 1.0, *, code: bool = False) -> None:
        super().__init__(weight)
        self.code = code

    def __call__(self, query: Query, candidate: Candidate) -> Tensor:
        """How alike each row's change is to those of its siblings (B,), in [0, 1]."""
        point = candidate.variables
        change = (point["z"] - point["z0"] if self.code else candidate.decoded - query.factual).flatten(1)
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
