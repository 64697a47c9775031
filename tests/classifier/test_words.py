"""Embeddings of soft texts."""

from __future__ import annotations

import pytest
import torch

from counterfoil.classifier.words import WordEmbedding, is_hard, tokens_of
from counterfoil.core.domain import UNKNOWN
from counterfoil.core.errors import UserError


def test_a_row_is_the_mean_of_the_vectors_of_its_tokens() -> None:
    net = WordEmbedding(4, 3).eval()
    x = torch.tensor([[0.0, 0.0, 1.0, 0.0], [0.5, 0.0, 0.0, 0.5]])[None, None]
    found = net(x)
    assert torch.equal(found[0, 0], net.weight[2])
    assert torch.allclose(found[0, 1], (net.weight[0] + net.weight[3]) / 2)


def test_words_are_hidden_while_training_alone() -> None:
    torch.manual_seed(0)
    net = WordEmbedding(4, 3, dropout=0.5)
    x = torch.eye(4)[torch.full((1, 1, 400), 2)]
    hidden = (net(x) == net.weight[UNKNOWN]).all(-1).float().mean()
    assert 0.4 < hidden < 0.6
    assert not (net.eval()(x) == net.weight[UNKNOWN]).all(-1).any()


@pytest.mark.parametrize("shape", [(1, 3, 5), (3, 3, 4)])
def test_other_inputs_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"made for texts of 4 tokens, found inputs of shape .*data=reviews"):
        WordEmbedding(4, 3)(torch.rand(2, *shape))


def test_hard_texts_are_looked_up_and_soft_ones_multiplied_alike() -> None:
    torch.manual_seed(0)
    net = WordEmbedding(4000, 3).eval()
    ids = torch.randint(4000, (3, 5))
    x = torch.nn.functional.one_hot(ids, 4000)[:, None].float()
    assert is_hard(x)
    assert torch.equal(tokens_of(x), ids)
    assert torch.equal(net(x), net(x.requires_grad_()))
    soft = x.detach().clone()
    soft[0, 0, 0] = 1 / 4000
    assert not is_hard(soft)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(tokens_of(x.detach()), ids)
