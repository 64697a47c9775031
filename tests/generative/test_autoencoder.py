"""The class auto-encoders behind IM1 and IM2."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from counterfoil.generative.autoencoder import ClassAutoencoders


@pytest.fixture
def net() -> ClassAutoencoders:
    torch.manual_seed(0)
    return ClassAutoencoders(1, 16, classes=3, latent=2, width=4).double().eval()


@pytest.fixture
def x() -> Tensor:
    return torch.rand(5, 1, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def through(net: ClassAutoencoders, k: int, x: Tensor) -> Tensor:
    expert = net.experts[k]
    return expert.decode(expert.encode(x))


def test_one_expert_a_class_and_one_over_all(net: ClassAutoencoders) -> None:
    assert len(net.experts) == 4


def test_each_image_goes_through_its_own_expert(net: ClassAutoencoders, x: Tensor) -> None:
    which = torch.tensor([2, 0, -1, 2, 1])
    out = net.reconstruct(x, which)
    for i, k in enumerate(which.tolist()):
        torch.testing.assert_close(out[i : i + 1], through(net, k, x[i : i + 1]))
    assert not torch.allclose(out[0], through(net, -1, x[:1])[0]), (
        "all experts alike: this test would say nothing"
    )


def test_loss_by_hand(net: ClassAutoencoders, x: Tensor) -> None:
    labels = torch.tensor([0, 1, 2, 2, 0])
    own = torch.stack(
        [
            (through(net, k, x[i : i + 1]) - x[i : i + 1]).square().mean()
            for i, k in enumerate(labels.tolist())
        ]
    ).mean()
    everything = (through(net, 3, x) - x).square().mean()
    terms = net.loss(x, labels)
    torch.testing.assert_close(terms["own"], own)
    torch.testing.assert_close(terms["all"], everything)
    torch.testing.assert_close(terms["loss"], own + everything)


def test_an_expert_learns_from_its_class_alone(net: ClassAutoencoders, x: Tensor) -> None:
    net.loss(x, torch.tensor([0, 0, 2, 2, 0]))["loss"].backward()
    learned = [any(p.grad is not None for p in expert.parameters()) for expert in net.experts]
    assert learned == [True, False, True, True]
