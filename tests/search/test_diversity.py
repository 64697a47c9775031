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


def test_over_codes_where_asked() -> None:
    z = torch.tensor([[3.0, 1.0], [1.0, 4.0]], dtype=torch.float64)
    point = {"z": z, "z0": torch.ones_like(z)}
    decoded = torch.ones(2, 1, 1, 2, dtype=torch.float64)
    query = Query(torch.zeros_like(decoded), torch.zeros(2, dtype=torch.int64), nn.Identity())
    candidate = Candidate(point, decoded, decoded.flatten(1), 0.0, siblings=torch.tensor([[0, 1], [0, 1]]))
    assert Diversity(code=True)(query, candidate).tolist() == [0.0, 0.0]
    assert Diversity()(query, candidate).min() > 0.99
