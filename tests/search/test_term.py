"""Terms and their sum against values on paper."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from counterfoil.core.query import Query
from counterfoil.search import L1, L2, Candidate, CrossEntropy, Objective, Term

LOGITS = torch.tensor([[0.0, math.log(3.0)], [2.0, -1.0]], dtype=torch.float64)
QUERY = Query(torch.zeros(2, 1, 1, 2, dtype=torch.float64), torch.tensor([0, 1]), nn.Identity())


def candidate(progress: float = 0.0) -> Candidate:
    decoded = torch.tensor([[0.1, 0.3], [0.0, 1.0]], dtype=torch.float64).view(2, 1, 1, 2)
    return Candidate({}, decoded, LOGITS, progress)


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        (L1(), [0.2, 0.5]),
        (L2(), [0.05, 0.5]),
    ],
)
def test_values(term: Term, expected: list[float]) -> None:
    torch.testing.assert_close(term(QUERY, candidate()), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("term", [L1(), L2()])
def test_one_value_a_query_whatever_the_others_are(term: Term) -> None:
    one = torch.tensor([1])
    alone = Candidate({}, candidate().decoded[one], LOGITS[one], 0.0)
    assert torch.equal(term(QUERY[one], alone), term(QUERY, candidate())[one])


def test_objective_is_the_weighted_sum_with_a_trade_off_a_query() -> None:
    objective = Objective(CrossEntropy(2.0), L1(3.0), smooth=L2(0.5))
    here = candidate()
    tradeoff = torch.tensor([1.0, 10.0], dtype=torch.float64)
    total, parts = objective(QUERY, here, tradeoff, objective.distance(QUERY, here))
    flip, l1, l2 = CrossEntropy()(QUERY, here), L1()(QUERY, here), L2()(QUERY, here)
    torch.testing.assert_close(total, tradeoff * 2 * flip + 3 * l1 + 0.5 * l2)
    assert set(parts) == {"flip", "distance", "smooth"}
    torch.testing.assert_close(parts["smooth"], l2)


@pytest.mark.parametrize("progress", [0.0, 0.25, 1.0])
def test_a_weight_may_be_a_schedule(progress: float) -> None:
    objective = Objective(CrossEntropy(lambda p: 1 - p), L1(lambda p: 4 * p))
    here = candidate(progress)
    distance = objective.distance(QUERY, here)
    total, _ = objective(QUERY, here, torch.ones(2, dtype=torch.float64), distance)
    torch.testing.assert_close(
        total, (1 - progress) * CrossEntropy()(QUERY, here) + 4 * progress * L1()(QUERY, here)
    )
