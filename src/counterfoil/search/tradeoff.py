"""How much the flip weighs against the distance, per query and round."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from counterfoil.core.bounds import Count, Growth, Positive, checks_options


@checks_options
@dataclass(frozen=True)
class Tradeoff:
    """Rounds of a search, each from the start, under a trade-off of the query's own.

    A round that fails multiplies the trade-off by `factor`; with `bisect` a round that succeeds tries the
    geometric mean of the largest failed and the smallest successful value next, else the query is finished.

    Attributes:
        initial: first value, > 0.
        factor: growth after a failure, > 1.
        rounds: largest number of rounds, >= 1.
        bisect: look for nearer counterfactuals after a success.

    Source of bisection: Towards Evaluating the Robustness of Neural Networks (Carlini and Wagner, 2017),
    arXiv 1608.04644.
    """

    initial: Positive = 1.0
    factor: Growth = 10.0
    rounds: Count = 1
    bisect: bool = False

    def start(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Trade-off, largest failed and smallest successful value of each row: three (B,)."""
        return torch.full_like(like, self.initial), torch.zeros_like(like), torch.full_like(like, torch.inf)

    def update(
        self, value: Tensor, failed: Tensor, succeeded: Tensor, success: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The same three after a round with `success` (B,) bool."""
        failed = torch.where(success, failed, torch.maximum(failed, value))
        succeeded = torch.where(success, torch.minimum(succeeded, value), succeeded)
        down = torch.where(failed > 0, (failed * succeeded).sqrt(), succeeded / self.factor)
        return torch.where(succeeded.isfinite(), down, value * self.factor), failed, succeeded
