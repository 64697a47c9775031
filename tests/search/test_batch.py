"""Rows that began at different times stand side by side, each with its own age."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Adam

from counterfoil.core.query import Query
from counterfoil.search import Pixels, Tradeoff
from counterfoil.search.batch import Batch
from counterfoil.search.candidate import Variables
from counterfoil.search.feed import Asked
from counterfoil.util.rows import RowOptimizer


def optimizer(variables: Variables) -> RowOptimizer:
    return RowOptimizer(partial(Adam, lr=0.1), variables, 10, mixed=True)


@pytest.fixture
def asked(tiny_classifier: nn.Module, toy: Any) -> list[Asked]:
    x = toy.test[range(5)].x.double()
    target = torch.arange(5) % 3
    parts = (slice(0, 3), slice(3, 5))
    queries = [Query(x[part], target[part], tiny_classifier) for part in parts]
    return [Asked(place, query, Tradeoff()) for place, query in enumerate(queries)]


def walk(batch: Batch, steps: int) -> None:
    for _ in range(steps):
        for value in batch.variables.values():
            value.grad = torch.ones_like(value)
        batch.optimizer.step()
        batch.clock += 1


def test_rows_of_several_batches_stand_together(asked: list[Asked]) -> None:
    one, two = asked
    batch = Batch.of([(two, 1), (one, 0), (two, 0)], Pixels(), optimizer)
    assert [(a.place, row) for a, row in batch.origins] == [(1, 1), (1, 0), (0, 0)]
    assert batch.query.target.tolist() == [4 % 3, 3 % 3, 0]
    assert torch.equal(batch.variables["x"].detach(), batch.query.factual)
    assert batch.even
    assert batch.age() == 0


def test_ages_count_from_where_each_row_began(asked: list[Asked]) -> None:
    one, two = asked
    batch = Batch.of([(one, row) for row in range(3)], Pixels(), optimizer)
    walk(batch, 4)
    stood = batch.variables["x"].detach().clone()
    batch.keep([0, 2], Batch.of([(two, 0)], Pixels(), optimizer))
    assert not batch.even
    assert batch.age().tolist() == [4, 4, 0]  # type: ignore[union-attr]
    assert torch.equal(batch.variables["x"].detach()[:2], stood[[0, 2]])
    assert torch.equal(batch.variables["x"].detach()[2], two.query.factual[0])
    walk(batch, 1)
    assert not batch.expire(5)
    assert batch.alive.tolist() == [False, False, True]
    walk(batch, 4)
    assert batch.expire(5)
    assert batch.alive.tolist() == [False] * 3


def test_an_even_batch_expires_at_once(asked: list[Asked]) -> None:
    batch = Batch.of([(asked[0], row) for row in range(3)], Pixels(), optimizer)
    walk(batch, 2)
    assert not batch.expire(3)
    assert batch.alive.all()
    assert batch.expire(2)
    assert not batch.alive.any()


def test_time_is_shared_among_the_rows_at_work(asked: list[Asked], monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Batch.of([(asked[0], row) for row in range(3)], Pixels(), optimizer)
    batch.since = 0.0
    monkeypatch.setattr("counterfoil.search.batch.time.perf_counter", lambda: 6.0)
    batch.spend()
    batch.keep([1, 2])
    monkeypatch.setattr("counterfoil.search.batch.time.perf_counter", lambda: 7.0)
    batch.spend()
    assert batch.seconds.tolist() == [2.5, 2.5]
