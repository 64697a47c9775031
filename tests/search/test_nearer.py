"""Which of two counterfactuals of a query is kept."""

from __future__ import annotations

from typing import Any

import torch

from counterfoil.core.counterfactuals import Found
from counterfoil.core.query import Query
from counterfoil.search import nearer


def found(image: torch.Tensor, code: float) -> Found:
    rows = len(image)
    one = torch.ones(rows, dtype=torch.int64)
    return Found(image, 3 * one, 5 * one, extra={"z": torch.full((rows, 2), code, dtype=image.dtype)})


def test_the_least_change_that_reaches_the_target_is_kept(linear: Any) -> None:
    """Class 1 wins where the image's sum is above 8; three rows: both reach it, one does, none does."""
    classifier = linear(
        torch.stack([torch.zeros(16), torch.ones(16)]).double(), torch.tensor([8.0, 0.0]).double()
    )
    x = torch.full((3, 1, 4, 4), 0.4, dtype=torch.float64)
    query = Query(x, torch.ones(3, dtype=torch.int64), classifier, confidence=0.5)
    one = torch.stack([torch.full((1, 4, 4), v, dtype=torch.float64) for v in (0.9, 0.3, 0.3)])
    other = torch.stack([torch.full((1, 4, 4), v, dtype=torch.float64) for v in (0.6, 0.7, 0.4)])
    kept = nearer(query, found(one, 1.0), found(other, 2.0))
    assert kept.counterfactual[:, 0, 0, 0].tolist() == [0.6, 0.7, 0.3]
    assert kept.extra["z"][:, 0].tolist() == [2.0, 2.0, 1.0]
    assert kept.steps.tolist() == [6, 6, 6]
    assert kept.classifier_calls.tolist() == [12, 12, 12]


def test_a_row_that_is_not_finite_never_wins(linear: Any) -> None:
    classifier = linear(torch.stack([torch.zeros(16), torch.ones(16)]).double(), torch.zeros(2).double())
    x = torch.full((1, 1, 4, 4), 0.4, dtype=torch.float64)
    query = Query(x, torch.ones(1, dtype=torch.int64), classifier, confidence=0.5)
    broken = found(torch.full_like(x, torch.nan), 1.0)
    fine = found(torch.full_like(x, 0.5), 2.0)
    assert nearer(query, fine, broken).extra["z"][0, 0] == 2.0
