"""The nearest counterfactual is kept, else the likeliest point."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterfoil.core.query import Query
from counterfoil.search import Latent, Pixels
from counterfoil.search.best import Best
from counterfoil.search.candidate import Candidate

EVERY = torch.ones(2, dtype=torch.bool)


def query() -> Query:
    return Query(torch.zeros(2, 1, 2, 2), torch.ones(2, dtype=torch.int64), nn.Identity(), confidence=0.6)


def point(value: float, *probabilities: float) -> Candidate:
    target = torch.tensor(probabilities)
    x = torch.full((2, 1, 2, 2), value)
    return Candidate({"x": x}, x, torch.stack([1 - target, target], 1).log(), 0.0)


def shown(best: Best) -> list[float]:
    return [round(float(value), 3) for value in best.counterfactual.flatten(1).amax(1)]


def test_the_nearest_is_kept_from_the_first_counterfactual_on() -> None:
    best, asked = Best.empty(query()), query()
    for value, probabilities, distance, kept in (
        (0.1, (0.2, 0.7), 0.5, [0.1, 0.1]),  # the second row is reached
        (0.2, (0.5, 0.9), 0.6, [0.2, 0.1]),  # the first is likelier; the second further off
        (0.3, (0.4, 0.1), 0.1, [0.2, 0.1]),  # neither
        (0.4, (0.8, 0.7), 0.4, [0.4, 0.4]),  # both nearer
    ):
        best.update(asked, Pixels(), point(value, *probabilities), torch.full((2,), distance), EVERY)
        assert shown(best) == [round(value, 3) for value in kept]
    assert best.success.tolist() == [True, True]


def test_finished_rows_stay_as_they_are() -> None:
    best = Best.empty(query())
    alive = torch.tensor([True, False])
    better = best.update(query(), Pixels(), point(0.1, 0.9, 0.9), torch.zeros(2), alive)
    assert better.tolist() == [True, False]
    assert best.success.tolist() == [True, False]
    assert best.counterfactual[1].isnan().all()


def test_the_last_point_is_kept_whatever_it_reaches() -> None:
    best = Best.empty(query())
    for value, probability in ((0.1, 0.9), (0.2, 0.1)):
        best.update(query(), Pixels(), point(value, probability, probability), torch.zeros(2), EVERY, True)
    assert shown(best) == [0.2, 0.2]


def test_logits_that_are_not_finite_are_no_point() -> None:
    best, bad = Best.empty(query()), point(0.1, 0.9, 0.9)
    logits = torch.tensor([[torch.nan, 1.0], [-torch.inf, 1.0]])
    best.update(query(), Pixels(), Candidate(bad.variables, bad.decoded, logits, 0.0), torch.zeros(2), EVERY)
    assert best.success.tolist() == [False, False]


def test_rows_are_joined_and_put_back() -> None:
    def code(best: Best, rows: Tensor) -> Tensor:
        x = torch.full((2, 1, 2, 2), 0.5)
        logits = torch.tensor([[0.0, 9.0]] * 2)
        best.update(query(), Latent(), Candidate({"z": x}, x, logits, 0.0), torch.zeros(2), rows)
        return best.extra["z"]

    told, untold = Best.empty(query()), Best.empty(query())
    code(told, EVERY)
    joined = Best.join([untold[torch.tensor([1])], told])
    assert joined.extra["z"][:, 0, 0, 0].tolist() == [0.0, 0.5, 0.5], "a row that tells nothing shows 0"
    untold.put(torch.tensor([1]), joined[torch.tensor([2])])
    assert untold.success.tolist() == [False, True]
    assert untold.extra["z"][:, 0, 0, 0].tolist() == [0.0, 0.5]
