"""A network that predicts its own error."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.dep import DEP


@pytest.mark.parametrize(("channels", "size", "stages"), [(1, 28, 3), (3, 64, 4)])
def test_one_pass_gives_what_two_do(channels: int, size: int, stages: int) -> None:
    net = DEP(channels, 2, width=4, stages=stages).eval()
    x = torch.rand(3, channels, size, size)
    logits, predicted = net.both(x)
    classifier = Classifier(net, layers=net.error_layers)
    torch.testing.assert_close(logits, classifier(x))
    torch.testing.assert_close(predicted, net.predict_error(classifier.features(x)))
    assert predicted.shape == (3,)
    assert len(net.error_layers) == stages


def test_prediction_by_hand() -> None:
    """Averages 1 and 2 of one channel; taps relu(3 a - 1) = 2 and relu(-a) = 0; error 2 * 5 + 0 * 7 + 1."""
    net = DEP(width=1, stages=2, side=1)
    with torch.no_grad():
        for tap, (weight, bias) in zip(net.taps, ((3.0, -1.0), (-1.0, 0.0)), strict=True):
            assert isinstance(tap, nn.Sequential)
            linear = tap[0]
            assert isinstance(linear, nn.Linear)
            linear.weight.copy_(torch.full_like(linear.weight, weight))
            linear.bias.fill_(bias)
        net.error.weight.copy_(torch.tensor([[5.0, 7.0]]))
        net.error.bias.fill_(1.0)
    first = torch.tensor([0.0, 2.0]).view(1, 1, 1, 2)
    predicted = net.predict_error({"blocks.0": first, "blocks.1": torch.full((1, 2, 3, 3), 2.0)})
    assert predicted.tolist() == [11.0]


def test_the_prediction_moves_the_features_too() -> None:
    net = DEP(width=4)
    net.both(torch.rand(2, 1, 28, 28))[1].sum().backward()
    moved = [
        parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        for parameter in net.blocks[0].parameters()
    ]
    assert any(moved)
