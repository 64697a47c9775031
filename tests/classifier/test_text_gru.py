"""A classifier of texts, hard and soft."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from counterfoil.classifier.text_gru import TextGRU
from counterfoil.testing.classifier import check_classifier


def one_hot(ids: torch.Tensor) -> torch.Tensor:
    return F.one_hot(ids, 12)[:, None].float()


def test_it_keeps_the_promises_of_a_classifier_on_soft_texts() -> None:
    net = TextGRU(12, 3, width=8).eval()
    net.head.bias.data = torch.tensor([-1.0, 0.0, 1.0])
    check_classifier(net, torch.rand(4, 1, 6, 12).softmax(-1))


def test_it_learns_a_pair_of_words_that_neither_tells_alone() -> None:
    """A word after "not" turns the class."""
    torch.manual_seed(0)
    net = TextGRU(12, 2, width=16, dropout=0.0, word_dropout=0.0)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
    ids = torch.randint(5, 12, (256, 6))
    place, turned, word = torch.randint(1, 6, (256,)), torch.rand(256) < 0.5, torch.rand(256) < 0.5
    rows = torch.arange(256)
    ids[rows, place] = torch.where(word, 2, 3)
    ids[rows, place - 1] = torch.where(turned, 4, ids[rows, place - 1])
    label = (turned ^ word).long()
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(net(one_hot(ids)), label).backward()
        optimizer.step()
    assert (net.eval()(one_hot(ids)).argmax(1) == label).float().mean() > 0.95
