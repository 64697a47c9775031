"""How alike the counterfactuals of a query change it, on paper."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterfoil.core.query import Query
from counterfoil.search import Candidate, Diversity


def alike(changes: list[list[float]], siblings: list[list[int]] | None) -> Tensor:
    decoded = torch.tensor(changes, dtype=torch.float64).view(len(changes), 1, 1, 2)
    query = Query(torch.zeros_like(decoded), torch.zeros(len(changes), dtype=torch.int64), nn.Identity())
    table = None if siblings is None else torch.tensor(siblings)
    return Diversity()(query, Candidate({}, decoded, decoded.flatten(1), 0.0, siblings=table))


def test_parallel_changes_are_alike_and_orthogonal_ones_are_not() -> None:
    found = alike([[1.0, 0.0], [-2.0, 0.0], [1.0, 0.0], [0.0, 3.0]], [[0, 1], [0, 1], [2, 3], [2, 3]])
    torch.testing.assert_close(
        found, torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64), rtol=0, atol=1e-5
    )


def test_the_mean_is_over_the_others() -> None:
    found = alike([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], [[0, 1, 2]] * 3)
    torch.testing.assert_close(found, torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64), rtol=0, atol=1e-5)


def test_one_alone_is_diverse() -> None:
    assert alike([[1.0, 0.0]], [[0]]).tolist() == [0.0]
    assert alike([[1.0, 0.0]], None).tolist() == [0.0]
