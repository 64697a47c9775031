"""Optimisers with one step size per variable."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from counterfoil.core.bounds import Count, Positive, Probability, Weight, Whole
from counterfoil.core.options import shows_options


@shows_options
class Paced:
    """Makes an optimiser whose i-th tensor moves at rates[i] * decay^n in its n-th move.

    Args:
        rates: one step size per tensor.
        decay: in (0, 1].
        adam: Adam instead of plain gradient descent.
        alternate: the tensors take turns, one per step, instead of moving at once.
    """

    def __init__(
        self,
        rates: Sequence[Weight],
        *,
        decay: Probability = 1.0,
        adam: bool = False,
        alternate: bool = False,
    ) -> None:
        self.rates = tuple(rates)
        self.decay = decay
        self.adam = adam
        self.alternate = alternate

    def __call__(self, tensors: Sequence[Tensor]) -> torch.optim.Optimizer:
        """The optimiser of these tensors, as many as there are rates."""
        groups = [
            {"params": [tensor], "lr": rate, "pace": partial(self._rate, i)}
            for i, (tensor, rate) in enumerate(zip(tensors, self.rates, strict=True))
        ]
        optimizer: torch.optim.Optimizer = torch.optim.Adam(groups) if self.adam else torch.optim.SGD(groups)
        taken = 0

        def pace(optimizer: torch.optim.Optimizer, _args: Any, _kwargs: Any) -> None:
            nonlocal taken
            for group in optimizer.param_groups:
                group["lr"] = group["pace"](taken)
            taken += 1

        optimizer.register_step_pre_hook(pace)
        return optimizer

    def _rate(self, i: int, taken: int) -> float:
        """The step size of the i-th tensor after `taken` moves."""
        turn, round_ = (taken % len(self.rates), taken // len(self.rates)) if self.alternate else (i, taken)
        return self.rates[i] * self.decay**round_ if turn == i else 0.0


@shows_options
class Unfrozen:
    """Progressive schedule P2: Adam on some tensors first, on more of them every few steps.

    Args:
        turns: for each tensor, after how many times `every` steps it is freed; 0: at once.
        every: steps, >= 1.
        lr: of Adam.

    Source of the idea: Designing Counterfactual Generators using Deep Model Inversion (Thiagarajan et al.,
    2021), arXiv 2109.14274.
    """

    def __init__(self, turns: Sequence[Whole], *, every: Count, lr: Positive) -> None:
        self.turns = tuple(turns)
        self.every = every
        self.lr = lr

    def __call__(self, tensors: Sequence[Tensor]) -> torch.optim.Optimizer:
        """The optimiser of these tensors, as many as there are turns."""
        groups = [
            {"params": [tensor], "since": turn * self.every}
            for tensor, turn in zip(tensors, self.turns, strict=True)
        ]
        optimizer = torch.optim.Adam(groups, lr=self.lr)
        taken = 0

        def hold(optimizer: torch.optim.Optimizer, _args: Any, _kwargs: Any) -> None:
            nonlocal taken
            for group in optimizer.param_groups:
                if taken < group["since"]:
                    for tensor in group["params"]:
                        # Adam passes by a tensor without gradient, and starts counting its steps later
                        tensor.grad = None
            taken += 1

        optimizer.register_step_pre_hook(hold)
        return optimizer
