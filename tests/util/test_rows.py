"""Rows leave an optimisation without a trace on those that stay."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, Adamax, AdamW, RMSprop

from counterfoil.core.errors import UserError
from counterfoil.search import Paced, Unfrozen
from counterfoil.util.rows import RowOptimizer, take_rows

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


MIXED = {
    "adam": partial(Adam, lr=0.05),
    "adamw": partial(AdamW, lr=0.05, weight_decay=0.0),
    "sgd": partial(SGD, lr=0.05),
    "momentum": partial(SGD, lr=0.05, momentum=0.9),
    "rmsprop": partial(RMSprop, lr=0.01),
    "paced": Paced((0.05, 0.02), decay=0.9),
    "paced adam in turns": Paced((0.05, 0.02), decay=0.9, adam=True, alternate=True),
    "unfrozen": Unfrozen((0, 2), every=2, lr=0.05),
}
STEPS = 9


class Descent:
    """sum sin(scale * v) over two variables, rows of a fixed table of starts."""

    def __init__(self, make: Any, rows: list[int], dtype: torch.dtype, mixed: bool = False) -> None:
        draw = torch.Generator().manual_seed(0)
        self.table = {name: torch.randn(6, 3, generator=draw).to(dtype) for name in "ab"}
        self.rows, self.steps = rows, [0] * len(rows)
        self.variables = self.start(rows)
        self.optimizer = RowOptimizer(make, self.variables, STEPS, mixed)

    def start(self, rows: list[int]) -> dict[str, Tensor]:
        return {name: value[rows].clone().requires_grad_() for name, value in self.table.items()}

    def backward(self) -> None:
        for value in self.variables.values():
            value.grad = None
        scale = 1 + torch.tensor(self.rows)[:, None] / 6
        sum((scale * value).sin().sum() for value in self.variables.values()).backward()

    def walk(self, steps: int) -> dict[str, Tensor]:
        for _ in range(steps):
            self.backward()
            self.optimizer.step()
        return {name: value.detach() for name, value in self.variables.items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", [name for name in MIXED if name not in ("momentum", "rmsprop")])
def test_an_even_batch_moves_bit_for_bit_as_torch_moves_it(name: str, dtype: torch.dtype) -> None:
    own = Descent(MIXED[name], [0, 1, 2, 3, 4, 5], dtype)
    torchs = Descent(MIXED[name], [0, 1, 2, 3, 4, 5], dtype)
    assert own.optimizer._move is not None, "torch's own step: this test would say nothing"
    for _ in range(STEPS):
        torchs.backward()
        torchs.optimizer.optimizer.step()
        for ours, value in zip(own.walk(1).values(), torchs.variables.values(), strict=True):
            assert torch.equal(ours, value.detach())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", MIXED)
def test_rows_that_come_in_later_move_bit_for_bit_as_alone(name: str, dtype: torch.dtype) -> None:
    """Rows 0 to 2 begin; 0 leaves for 3 and 4 after three steps, 1 and 3 for 5 after three more."""
    batch = Descent(MIXED[name], [0, 1, 2], dtype, mixed=True)
    batch.walk(3)
    for kept, fresh in (([1, 2], [3, 4]), ([1, 3], [5])):
        batch.variables = batch.optimizer.turn_over(batch.variables, torch.tensor(kept), batch.start(fresh))
        batch.rows = [*(batch.rows[row] for row in kept), *fresh]
        batch.walk(3)
    assert batch.rows == [2, 4, 5]
    assert batch.optimizer.made.tolist() == [9, 6, 3]  # type: ignore[union-attr]
    for place, (row, steps) in enumerate(((2, 9), (4, 6), (5, 3))):
        alone = Descent(MIXED[name], [row], dtype).walk(steps)
        for key, value in alone.items():
            assert torch.equal(batch.variables[key].detach()[place], value[0]), (row, key)


@pytest.mark.parametrize(
    "make", [Adamax, partial(Adam, amsgrad=True), Adagrad, partial(SGD, momentum=0.9, dampening=0.5)]
)
def test_optimisers_that_count_for_all_rows_take_in_no_others(make: Any) -> None:
    variables = {"x": torch.ones(2, requires_grad=True)}
    RowOptimizer(make, variables, 3)
    with pytest.raises(UserError, match=r"refill: .* take Adam"):
        RowOptimizer(make, variables, 3, mixed=True)
