"""The language model."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from counterfoil.core.errors import UserError
from counterfoil.generative.text.language import TextLM


def one_hot(*ids: list[int]) -> torch.Tensor:
    return F.one_hot(torch.tensor(ids), 7)[:, None].float()


@pytest.fixture
def model() -> TextLM:
    torch.manual_seed(0)
    return TextLM(5, 7, width=4, states=6).eval()


def test_the_probabilities_of_all_continuations_sum_to_one(model: TextLM) -> None:
    """Of texts of two tokens, which hold no padding: p(x_1) p(x_2 | x_1), and padding takes its own share."""
    begun = torch.tensor([[3, i, 0, 0, 0] for i in range(1, 7)])
    said, known = model.said(begun)
    assert known.sum(1).tolist() == [2] * 6
    rest = said[:, 1].exp().sum()
    logits = F.linear(
        model.leave(model.recurrent(model.words[torch.tensor([[0, 3]])])[0]), model.words, model.likely
    )
    assert float(rest) == pytest.approx(1 - float(logits[0, 1].softmax(0)[0]), abs=1e-5)


def test_the_likelihood_is_a_mean_over_tokens_wherever_paddings_stand(model: TextLM) -> None:
    said, _ = model.said(torch.tensor([[4, 2, 5, 0, 0]]))
    found = model.log_likelihood(one_hot([4, 2, 5, 0, 0], [0, 4, 0, 2, 5], [4, 2, 6, 0, 0]))
    assert found.shape == (3,)
    assert torch.allclose(found[:2], said[0, :3].mean().expand(2))
    assert not torch.isclose(found[2], found[0])
    assert (found < 0).all()


def test_a_text_without_tokens_is_as_likely_as_one_drawn_evenly(model: TextLM) -> None:
    assert float(model.log_likelihood(one_hot([0] * 5))[0]) == pytest.approx(-math.log(7))


def test_a_later_token_does_not_change_an_earlier_one(model: TextLM) -> None:
    first, second = (model.said(torch.tensor([[4, 2, i, 3, 1]]))[0][0] for i in (5, 6))
    assert torch.equal(first[:2], second[:2])
    assert not torch.equal(first[2:], second[2:])


def test_other_texts_are_refused(model: TextLM) -> None:
    with pytest.raises(UserError, match=r"text_lm: made for texts of shape \(1, 5, 7\)"):
        model.log_likelihood(torch.zeros(1, 1, 5, 8))
