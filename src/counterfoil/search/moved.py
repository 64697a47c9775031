"""How far the variables of a search have moved from where they began."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from counterfoil.core.bounds import Weight
from counterfoil.core.query import Query
from counterfoil.search.candidate import Candidate
from counterfoil.search.term import Schedule, Term


class Moved(Term):
    """sum_v ||v - v_0||_p over the named variables; a space holds the start of `v` as `v0`.

    Args:
        weight: see `Term`.
        names: of the variables.
        order: p, 1 or 2.
    """

    def __init__(
        self, weight: Weight | Schedule = 1.0, *, names: Sequence[str] = ("a",), order: int = 2
    ) -> None:
        super().__init__(weight)
        self.names = tuple(names)
        self.order = order

    def __call__(self, query: Query, candidate: Candidate) -> Tensor:
        """The sum of the distances (B,)."""
        distances = [
            torch.linalg.vector_norm(
                (candidate.variables[name] - candidate.variables[f"{name}0"]).flatten(1),
                ord=self.order,
                dim=1,
            )
            for name in self.names
        ]
        return torch.stack(distances).sum(0)
