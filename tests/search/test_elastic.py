"""FISTA's shrinkage by hand, and an elastic net whose minimum is known."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.search import L1, CrossEntropy, Objective, Search, Shrinking, SquaredChange


def query_of(x: Tensor, generator: Any = None) -> Query:
    return Query(x, torch.zeros(len(x), dtype=torch.int64), nn.Flatten(), generator=generator)


def test_a_change_is_shrunk_and_run_ahead_of() -> None:
    x = torch.full((1, 1, 1, 3), 0.5, dtype=torch.float64)
    space, query = Shrinking(0.1), query_of(x)
    point = {name: value.clone() for name, value in space.start(query).items()}
    point["y"] += torch.tensor([0.05, 0.3, -0.3])
    space.project_(query, point)
    torch.testing.assert_close(point["y"].flatten(), torch.tensor([0.5, 0.7, 0.3], dtype=torch.float64))
    point["y"] += torch.tensor([0.0, 0.2, 0.0])
    space.project_(query, point)
    torch.testing.assert_close(point["x"].flatten(), torch.tensor([0.5, 0.8, 0.4], dtype=torch.float64))
    ahead = torch.tensor([0.5, 0.8 + 0.1 / 4, 0.4 + 0.1 / 4], dtype=torch.float64)
    torch.testing.assert_close(space.decode(query, point).flatten(), ahead)
    assert point["k"].tolist() == [2]


def test_things_are_only_added() -> None:
    x = torch.tensor([0.0, 0.5, 0.5], dtype=torch.float64).view(1, 1, 1, 3)
    space, query = Shrinking(0.0, absent=0.0), query_of(x)
    point = {name: value.clone() for name, value in space.start(query).items()}
    point["y"] += torch.tensor([0.4, -0.4, 0.4])
    space.project_(query, point)
    torch.testing.assert_close(point["y"].flatten(), torch.tensor([0.4, 0.5, 0.9], dtype=torch.float64))


class Pull(nn.Module):
    """Logits whose cross-entropy to class 0 has a gradient of 1 on the first pixel and .1 on the second."""

    def forward(self, x: Tensor) -> Tensor:
        own = x.flatten(1) @ torch.tensor([1.0, 0.1], dtype=x.dtype)
        return torch.stack((own - 1000.0, torch.zeros_like(own)), dim=1)


def test_the_elastic_net_leaves_small_gains_alone() -> None:
    """min -g d + |d| threshold / lr + d^2 per pixel: d = (g - threshold / lr) / 2, or nothing."""
    x = torch.full((1, 1, 1, 2), 0.3, dtype=torch.float64)
    query = Query(x, torch.zeros(1, dtype=torch.int64), Pull())
    search = Search(400, partial(SGD, lr=0.05), last=True)
    found = search(query, Shrinking(0.01), Objective(CrossEntropy(), L1(0.0), change=SquaredChange()))
    moved = (found.counterfactual - x).flatten()
    torch.testing.assert_close(moved, torch.tensor([0.4, 0.0], dtype=torch.float64), rtol=0, atol=1e-4)


def test_a_model_that_has_diverged_is_named(tiny_vae: Any, toy: Any) -> None:
    for value in tiny_vae.parameters():
        value.data.fill_(torch.nan)
    with pytest.raises(UserError, match="codes of VAE are not finite"):
        Shrinking().prepare(query_of(toy.test[range(2)].x.double(), tiny_vae))
