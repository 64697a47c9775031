"""A stage after a search: whom it reaches, and what it is charged."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterfoil.core.counterfactuals import Found
from counterfoil.core.query import Query
from counterfoil.search import InTurn, Refine


class Whiter(Refine):
    """Adds a little, and says that it has asked three times."""

    def improve(self, query: Query, image: Tensor) -> tuple[Tensor, Tensor]:
        return image + 0.25, torch.full_like(query.target, 3)


class Sum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        total = x.flatten(1).sum(1)
        return torch.stack((-total, total - 1.0), dim=1)


def test_only_what_reaches_the_target_is_made_better() -> None:
    x = torch.zeros(2, 1, 2, 2, dtype=torch.float64)
    mask = torch.zeros(2, 1, 2, 2, dtype=torch.bool)
    mask[..., 0] = True
    found = Found(torch.stack((x[0] + 0.5, x[1] + 0.1)), torch.tensor([5, 7]), torch.tensor([6, 8]))
    query = Query(x, torch.ones(2, dtype=torch.int64), Sum(), mask=mask)
    better = Whiter()(query, found)
    assert better.counterfactual[:, 0, 0].tolist() == [[0.25, 0.75], [0.0, 0.1]]
    assert better.classifier_calls.tolist() == [6 + 4, 8 + 1]
    assert better.steps.tolist() == [5, 7]


def test_stages_follow_each_other() -> None:
    query = Query(torch.zeros(1, 1, 2, 2), torch.ones(1, dtype=torch.int64), Sum())
    image, calls = InTurn(Whiter(), Whiter()).improve(query, torch.zeros(1, 1, 2, 2))
    assert image.flatten().tolist() == [0.5] * 4
    assert calls.tolist() == [6]
