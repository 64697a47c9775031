"""Swaps of tokens by the gradient: on a linear classifier the best one is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.domain import Tokens
from counterfoil.core.errors import UserError
from counterfoil.explainer.hotflip import HotFlip
from counterfoil.testing.explainer import check_explainer
from counterfoil.testing.texts import TinyReader, texts


class Counting(nn.Module):
    """The logit of the second class is the sum of the tokens' weights; that of the first one is 0."""

    domain = Tokens()

    def __init__(self, weights: list[float]) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(weights, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        score = (x[:, 0] @ self.weights).sum(1)
        return torch.stack((torch.zeros_like(score), score), dim=1)


def one_hot(*ids: int) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor([ids]), 6)[:, None].double()


def test_the_swap_that_gains_most_comes_first() -> None:
    """Token 5 has the largest weight; token 2 is the worst to have; padding and unknown never come in."""
    net = Counting([0.0, 8.0, -4.0, -1.0, 0.5, 2.0])
    found = HotFlip(net, flips=1)(one_hot(3, 2, 3, 0), 1)
    assert found.counterfactual.argmax(-1).tolist() == [[[3, 5, 3, 0]]]
    assert float(found.steps) == 1
    both = HotFlip(net, flips=5)(one_hot(3, 2, 3, 0), 1)
    assert bool(both.valid)
    assert both.counterfactual.argmax(-1).tolist() in ([[[5, 5, 3, 0]]], [[[3, 5, 5, 0]]])  # alike


def test_no_row_is_swapped_twice_and_padding_stays() -> None:
    net = Counting([0.0, 0.0, -9.0, -9.0, -8.0, -7.0])
    found = HotFlip(net, flips=9)(one_hot(2, 3, 2, 0), 1)
    assert not bool(found.valid)
    assert found.counterfactual.argmax(-1).tolist() == [[[5, 5, 5, 0]]]
    assert float(found.steps) == 3


@pytest.mark.parametrize("beam", [1, 4])
def test_every_promise_is_kept(beam: int) -> None:
    check_explainer(HotFlip(TinyReader().double(), beam=beam, confidence=0.6), texts())


def test_images_are_refused() -> None:
    with pytest.raises(UserError, match="explainer hotflip needs inputs of one-hot rows, found images"):
        HotFlip(nn.Linear(1, 1))
