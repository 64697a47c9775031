"""Rows leave an optimisation without a trace on those that stay."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, RMSprop

from counterfoil.util.rows import take_rows

OPTIMISERS = [
    partial(Adam, lr=0.05),
    partial(AdamW, lr=0.05, amsgrad=True),
    partial(SGD, lr=0.05, momentum=0.9),
    partial(RMSprop, lr=0.01),
]


@pytest.mark.parametrize("make", OPTIMISERS, ids=lambda make: make.func.__name__)
def test_rows_taken_out_leave_the_others_on_their_path(make: Any) -> None:
    """Ten steps, one row taken out after the fourth and one after the seventh: the rest move as if alone."""
    start = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = torch.linspace(1, 2, 15, dtype=torch.float64).view(5, 3)

    def run(rows: Tensor, leaving: dict[int, Tensor]) -> Tensor:
        variables = {"x": start[rows].clone().requires_grad_()}
        scale, optimizer = weight[rows], make(list(variables.values()))
        for step in range(10):
            if step in leaving:
                variables = take_rows(optimizer, variables, leaving[step])
                scale = scale[leaving[step]]
            optimizer.zero_grad(set_to_none=True)
            (scale * variables["x"] ** 4).sum().backward()
            optimizer.step()
        return variables["x"].detach()

    together = run(
        torch.arange(5),
        {4: torch.tensor([True, False, True, True, True]), 7: torch.tensor([True, False, True, True])},
    )
    for row, moved in zip((0, 3, 4), together, strict=True):
        torch.testing.assert_close(moved, run(torch.tensor([row]), {})[0], rtol=0, atol=1e-12)


def test_rows_may_leave_before_the_first_step() -> None:
    variables = {"a": torch.zeros(3, 2, requires_grad=True), "b": torch.ones(3, requires_grad=True)}
    optimizer = Adam(list(variables.values()))
    kept = take_rows(optimizer, variables, torch.tensor([False, True, True]))
    assert kept["a"].shape == (2, 2)
    assert optimizer.param_groups[0]["params"][1] is kept["b"]
    assert kept["b"].requires_grad
    assert kept["b"].is_leaf
