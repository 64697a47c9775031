"""Flip terms against values on paper, and what the margin promises."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.search import Candidate, CrossEntropy, Hinge, Margin, SquaredError, Term, flip_term

LOGITS = torch.tensor([[0.0, math.log(3.0)], [2.0, -1.0]], dtype=torch.float64)
QUERY = Query(torch.zeros(2, 1, 1, 2, dtype=torch.float64), torch.tensor([0, 1]), nn.Identity())


def ask(classes: int, confidence: float, rows: int = 2000) -> tuple[Query, Candidate]:
    """Random logits of K classes, leaf of a gradient, and queries for random targets."""
    draw = torch.Generator().manual_seed(classes)
    logits = (8 * torch.randn(rows, classes, generator=draw, dtype=torch.float64)).requires_grad_()
    target = torch.randint(classes, (rows,), generator=draw)
    x = torch.zeros(rows, 1, 1, 1, dtype=torch.float64)
    return Query(x, target, nn.Identity(), confidence), Candidate({}, x, logits, 0.0)


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        (CrossEntropy(), [math.log(4.0), math.log(1 + math.exp(3.0))]),
        (SquaredError(), [0.75**2, (1 / (1 + math.exp(-3.0))) ** 2]),
        (Hinge(), [math.log(3.0), 3.0]),
        (Hinge(margin=0.5), [math.log(3.0) + 0.5, 3.5]),
        (Margin(slack=0.0), [math.log(3.0), 3.0]),
        (Margin(slack=0.25), [math.log(3.0) + 0.25, 3.25]),
    ],
)
def test_values(term: Term, expected: list[float]) -> None:
    here = Candidate({}, QUERY.factual, LOGITS, 0.0)
    torch.testing.assert_close(term(QUERY, here), torch.tensor(expected, dtype=torch.float64))
    one = torch.tensor([1])
    alone = Candidate({}, QUERY.factual[one], LOGITS[one], 0.0)
    assert torch.equal(term(QUERY[one], alone), term(QUERY, here)[one])


def test_hinge_is_zero_once_the_target_leads_by_the_margin() -> None:
    won = Candidate({}, QUERY.factual, LOGITS.flip(1), 0.0)
    expected = torch.tensor([2.0 - math.log(3.0), 0.0], dtype=torch.float64)
    torch.testing.assert_close(Hinge(margin=2.0)(QUERY, won), expected)


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("confidence", [0.0, 0.2, 0.5, 0.95, 0.9999])
def test_margin_is_zero_exactly_where_the_confidence_is_reached(classes: int, confidence: float) -> None:
    query, here = ask(classes, confidence)
    reached = query.reached(here.logits)
    assert 0 < int(reached.sum()) < len(reached)
    assert torch.equal(Margin(slack=0.0)(query, here) == 0, reached)


def test_the_gradient_of_the_margin_does_not_fade_near_the_confidence() -> None:
    query, here = ask(10, 0.999)
    probability = query.grade(here.logits)[1]
    near = (probability > 0.95) & (probability < 0.999)
    assert bool(near.any())
    (steep,) = torch.autograd.grad(Margin()(query, here).sum(), here.logits)
    (flat,) = torch.autograd.grad(CrossEntropy()(query, here).sum(), here.logits)
    own = query.target[near, None]
    torch.testing.assert_close(steep[near].gather(1, own), -torch.ones_like(own, dtype=torch.float64))
    assert float(flat[near].gather(1, own).abs().max()) < 0.05


def test_a_confidence_of_one_asks_for_a_finite_margin() -> None:
    query, here = ask(3, 1.0)
    assert bool(Margin()(query, here).isfinite().all())


def test_a_flip_that_is_unknown_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="explainer revise: flip=soft is not supported; choose one of"):
        flip_term("soft", "revise")  # type: ignore[arg-type]
