"""A classifier of texts, hard and soft."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from counterfoil.classifier.text_gru import TextGRU
from counterfoil.testing.classifier import check_classifier

TEXT = torch.tensor([[5, 6, 7, 8, 9, 10]])


def one_hot(ids: torch.Tensor) -> torch.Tensor:
    return F.one_hot(ids, 12)[:, None].float()


def test_it_keeps_the_promises_of_a_classifier_on_soft_texts() -> None:
    net = TextGRU(12, 3, width=8).eval()
    net.head.bias.data = torch.tensor([-1.0, 0.0, 1.0])
    check_classifier(net, torch.rand(4, 1, 6, 12).softmax(-1))


def test_the_order_of_words_counts() -> None:
    torch.manual_seed(0)
    net = TextGRU(12, 2, width=8).eval()
    assert (net(one_hot(TEXT)) - net(one_hot(TEXT.flip(1)))).abs().max() > 1e-3
