"""The wrapper in which every method meets a network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.classifier.base import Classifier, per_channel
from counterfoil.classifier.cnn import CNN
from counterfoil.core.decision import Attribute, Threshold
from counterfoil.core.errors import UserError
from counterfoil.util.fingerprint import fingerprint


@pytest.fixture
def net() -> CNN:
    torch.manual_seed(0)
    return CNN(channels=3, classes=4, width=4)


@pytest.fixture
def x() -> Tensor:
    return torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_frozen_and_always_in_eval_mode(net: CNN, x: Tensor) -> None:
    net.train()
    classifier = Classifier(net)
    assert not any(p.requires_grad for p in classifier.parameters())
    classifier.train()
    nn.Sequential(classifier).train()
    assert not any(module.training for module in classifier.modules())
    before = {key: value.clone() for key, value in net.state_dict().items()}
    assert torch.equal(classifier(x), classifier(x))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items()), (
        "batch-norm statistics moved"
    )


@pytest.mark.parametrize(
    ("mean", "std"), [(0.5, 0.25), ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7]), ([0.1, 0.2, 0.3], 0.5), (0.0, 1.0)]
)
def test_normalisation_by_hand(net: CNN, x: Tensor, mean: Any, std: Any) -> None:
    by_hand = x.clone()
    for c in range(3):
        by_hand[:, c] -= mean[c] if isinstance(mean, list) else mean
        by_hand[:, c] /= std[c] if isinstance(std, list) else std
    torch.testing.assert_close(Classifier(net, mean, std)(x), net.eval()(by_hand))


@pytest.mark.parametrize("numbers", [{"mean": [0.1, 0.2]}, {"std": [1.0, 1.0]}])
def test_a_normalisation_of_other_channels_is_refused(net: CNN, x: Tensor, numbers: Any) -> None:
    with pytest.raises(UserError, match=f"classifier.{next(iter(numbers))} has 2 numbers"):
        Classifier(net, **numbers)(x)


def test_grey_images_are_not_silently_made_colour(net: CNN) -> None:
    """Three means over one channel would broadcast into three channels, which the network would take."""
    with pytest.raises(UserError, match=r"classifier\.mean"):
        Classifier(net, mean=[0.1, 0.2, 0.3])(torch.rand(2, 1, 32, 32))


def test_features_by_name_and_the_last_as_embedding(net: CNN, x: Tensor) -> None:
    classifier = Classifier(net, 0.5, 0.5, layers=("blocks.0", "blocks.2", "pool"))
    features = classifier.features(x)
    assert list(features) == ["blocks.0", "blocks.2", "pool"]
    assert features["blocks.0"].shape == (5, 4, 16, 16)
    assert torch.equal(classifier.embed(x), features["pool"])
    torch.testing.assert_close(net.head(features["pool"]), classifier(x))
    assert not net.pool._forward_hooks, "a hook stayed behind"
    maps = Classifier(net, layers=("blocks.1",))
    torch.testing.assert_close(maps.embed(x), maps.features(x)["blocks.1"].mean((2, 3)))


def test_features_carry_gradients(net: CNN, x: Tensor) -> None:
    leaf = x.clone().requires_grad_()
    Classifier(net, layers=("pool",)).embed(leaf).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.abs().sum() > 0


def test_hooks_go_even_where_the_network_fails(net: CNN) -> None:
    classifier = Classifier(net, layers=("pool",))
    with pytest.raises(RuntimeError):
        classifier.features(torch.rand(1, 2, 32, 32))
    assert not net.pool._forward_hooks


def test_missing_layers_name_those_there_are(net: CNN, x: Tensor) -> None:
    with pytest.raises(UserError, match=r"'neck'.*blocks\.0"):
        Classifier(net, layers=("neck",))
    with pytest.raises(UserError, match=r"classifier\.layers"):
        Classifier(net).embed(x)


def test_class_names_come_from_the_caller_or_the_decision(net: CNN) -> None:
    assert Classifier(net).class_names is None
    assert Classifier(net, class_names=["a", "b", "c", "d"]).class_names == ("a", "b", "c", "d")
    assert Classifier(net, decision=Attribute("Smiling", 2)).class_names == ("not Smiling", "Smiling")


def test_decisions_read_the_networks_outputs(net: CNN, x: Tensor) -> None:
    raw = net.eval()(x)
    torch.testing.assert_close(
        Classifier(net, decision=Attribute("Smiling", 2))(x).softmax(1)[:, 1], raw[:, 2].sigmoid()
    )
    one = nn.Sequential(net, nn.Linear(4, 1))
    torch.testing.assert_close(Classifier(one, decision=Threshold(0.1))(x).diff(dim=1), one(x) - 0.1)


def test_classes_in_another_order_and_outputs_left_out(net: CNN, x: Tensor) -> None:
    raw = net.eval()(x)
    assert torch.equal(Classifier(net, order=[2, 0, 3], columns=4)(x), raw[:, [2, 0, 3]])
    assert torch.equal(Classifier(net, order=[2, 0, 3]).outputs(x), raw)
    with pytest.raises(UserError, match=r"classifier\.class_names: 3 names for 4 outputs"):
        Classifier(net, columns=3)(x)
    swapped, plain = Classifier(net, order=[1, 0, 2, 3]), Classifier(net)
    assert fingerprint(swapped) != fingerprint(plain), "another classifier"
    assert "order" not in swapped.state_dict()


def test_the_output_that_decides_is_chosen(net: CNN, x: Tensor) -> None:
    class Several(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"features": x, "scores": self.net(x)[:, :, None, None]}

    assert torch.equal(Classifier(Several(), output="scores")(x), net.eval()(x))
    assert Classifier(Several(), output="scores")(x[:1]).shape == (1, 4)
    with pytest.raises(UserError, match=r"set classifier\.output="):
        Classifier(Several())(x)


def test_normalisation_follows_the_type(net: CNN, x: Tensor) -> None:
    classifier = Classifier(net, [0.1, 0.2, 0.3], 0.5).double()
    assert classifier(x.double()).dtype == torch.float64
    assert "mean" not in classifier.state_dict(), "weights from elsewhere hold no normalisation"


def test_per_channel_broadcasts() -> None:
    assert per_channel(0.5).shape == (1, 1, 1)
    assert per_channel([1, 2, 3]).shape == (3, 1, 1)
