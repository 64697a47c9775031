"""Both networks take every size and number of channels they promise, and are alike whatever the batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from counterfoil.classifier.cnn import CNN
from counterfoil.classifier.resnet import ResNet

each_network = pytest.mark.parametrize("network", [CNN, ResNet])


@each_network
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [28, 32, 64, 96, 128])
def test_shapes_and_gradients(network: Any, channels: int, size: int) -> None:
    net = network(channels=channels, classes=5, width=4)
    x = torch.rand(2, channels, size, size, requires_grad=True)
    outputs = net(x)
    assert outputs.shape == (2, 5)
    outputs.sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert all(p.grad is not None for p in net.parameters())


@each_network
def test_names_that_the_configs_rely_on(network: Any) -> None:
    names = dict(network(width=4, stages=3).named_modules())
    assert {"blocks.0", "blocks.1", "blocks.2", "pool", "head"} <= set(names)


@each_network
def test_stages_halve_and_double(network: Any) -> None:
    net = network(channels=3, classes=2, width=4, stages=4).eval()
    seen = []
    net.blocks.register_forward_hook(lambda _module, _inputs, output: seen.append(output.shape))
    net(torch.rand(1, 3, 64, 64))
    assert seen[0] == (1, 32, 4, 4)


@each_network
def test_a_row_is_the_same_in_any_batch_once_evaluated(network: Any) -> None:
    torch.manual_seed(0)
    net = network(width=4).double()
    net(torch.rand(16, 1, 28, 28, dtype=torch.float64))
    net.eval()
    x = torch.rand(4, 1, 28, 28, dtype=torch.float64)
    torch.testing.assert_close(net(x)[2:3], net(x[2:3]), rtol=0, atol=1e-12)


def test_the_two_differ_in_architecture() -> None:
    """A judge of the same architecture would share the classifier's blind spots."""
    assert CNN().state_dict().keys() != ResNet().state_dict().keys()
