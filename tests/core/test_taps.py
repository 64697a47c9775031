"""Activations by name, from the pass that gives the logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.cnn import CNN
from counterfoil.core.errors import UserError
from counterfoil.core.query import Query
from counterfoil.core.taps import check_taps, default_taps, read


def test_one_pass_gives_logits_and_what_goes_in_and_out(tiny_classifier: nn.Module) -> None:
    x = torch.rand(3, 1, 16, 16).double()
    passes = 0

    def count(*_args: Any) -> None:
        nonlocal passes
        passes += 1

    tiny_classifier.register_forward_hook(count)
    logits, found = read(tiny_classifier, x, ("body.1", "body.2:input", "head:input"))
    assert passes == 1
    first = tiny_classifier.body[:2](2 * x - 1)
    torch.testing.assert_close(found["body.1"], first)
    torch.testing.assert_close(found["body.2:input"], first)
    torch.testing.assert_close(tiny_classifier.head(found["head:input"]), logits)
    assert not tiny_classifier.body[1]._forward_hooks, "a hook is left behind"


def test_names_are_those_of_the_network_inside_a_classifier() -> None:
    torch.manual_seed(0)
    classifier = Classifier(CNN(width=4, classes=3), layers=("blocks.0",))
    x = torch.rand(2, 1, 16, 16)
    logits, found = classifier.read(x, ("blocks.1", "pool"))
    assert torch.equal(logits, classifier(x))
    assert {name: value.shape[1] for name, value in found.items()} == {"blocks.1": 8, "pool": 16}
    assert torch.equal(classifier.features(x)["blocks.0"], read(classifier, x, ("blocks.0",))[1]["blocks.0"])
    assert default_taps(classifier) == ("blocks.0",)


def test_a_network_that_names_no_layers_is_read_at_its_convolutions(tiny_classifier: nn.Module) -> None:
    assert default_taps(tiny_classifier) == ("body.0", "body.2")
    deep = nn.Sequential(*[nn.Conv2d(1, 1, 1) for _ in range(10)])
    assert default_taps(deep) == ("1", "4", "7", "9")
    assert default_taps(nn.Linear(2, 2)) == ()


def test_an_unknown_layer_is_refused_with_those_that_exist(tiny_classifier: nn.Module) -> None:
    for name in ("blocks.7", "blocks.7:input"):
        with pytest.raises(UserError, match=r"blocks\.7.*TinyClassifier.*body\.0, body\.1"):
            check_taps(tiny_classifier, (name,))


class Odd(nn.Module):
    """Runs one of two layers, which gives a pair; its other layer sums over the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.pair, self.idle, self.whole = nn.LSTM(4, 4), nn.Linear(4, 4), nn.Softmax(0)
        self.single = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        self.whole(x.sum(0))
        self.single(x.sum())
        out: Tensor = self.pair(x)[0]
        return out


@pytest.mark.parametrize(
    ("name", "found"), [("pair", "tuple"), ("idle", "nothing"), ("whole", "Tensor"), ("single", "Tensor")]
)
def test_what_is_no_activation_an_image_is_refused(name: str, found: str) -> None:
    with pytest.raises(UserError, match=f"{name} gives {found}"):
        read(Odd(), torch.rand(3, 4), (name,))


def test_a_query_remembers_features_and_takes_their_rows_along(tiny_classifier: nn.Module) -> None:
    x = torch.rand(4, 1, 16, 16).double()
    query = Query(x, torch.zeros(4).long(), tiny_classifier)
    whole = query.features(("body.1",))["body.1"]
    assert not whole.requires_grad
    part = query[torch.tensor([2, 0])]
    tiny_classifier.forward = lambda _x: 1 / 0  # type: ignore[method-assign,assignment]
    assert torch.equal(part.features(("body.1",))["body.1"], whole[[2, 0]])
    first = query.remember("once", lambda: torch.full((4,), 1.0))
    assert torch.equal(first, query.remember("once", lambda: torch.full((4,), 2.0)))


class Overwriting(nn.Module):
    """Three layers, each of whose outputs is overwritten in another way."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Linear(4, 4) for _ in range(3))
        self.relu, self.head = nn.ReLU(inplace=True), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        a = self.relu(self.first(x))
        b = self.second(a)
        b += a
        c = self.third(b)
        c.view(-1).mul_(3)
        logits: Tensor = self.head(c)
        return logits


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_what_is_overwritten_afterwards_is_read_as_the_layer_left_it(mode: Any) -> None:
    torch.manual_seed(0)
    net, x = Overwriting(), torch.randn(5, 4)
    with torch.no_grad():
        a = net.first(x)
        b = net.second(a.relu())
        c = net.third(b + a.relu())
    for _again in range(2):
        with mode():
            logits, found = read(net, x, ("first", "relu:input", "second", "third", "relu", "head:input"))
        for name, value in {"first": a, "relu:input": a, "second": b, "third": c, "relu": a.relu()}.items():
            torch.testing.assert_close(found[name], value, msg=name)
        torch.testing.assert_close(found["head:input"], 3 * c)
        torch.testing.assert_close(logits, net(x))


def test_a_copy_keeps_the_gradient_and_the_extra_pass_comes_once() -> None:
    torch.manual_seed(0)
    net, passes = Overwriting(), 0
    net.first.register_forward_hook(lambda *_: None)

    def count(*_args: Any) -> None:
        nonlocal passes
        passes += 1

    net.register_forward_hook(count)
    for expected in (2, 3):
        x = torch.randn(5, 4, requires_grad=True)
        (gradient,) = torch.autograd.grad(read(net, x, ("first",))[1]["first"].sum(), x)
        torch.testing.assert_close(gradient, net.first.weight.sum(0).expand(5, 4))
        assert passes == expected


def test_nothing_is_copied_where_nothing_is_overwritten(tiny_classifier: nn.Module) -> None:
    kept: list[Tensor] = []
    tiny_classifier.body[0].register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    found = read(tiny_classifier, torch.rand(2, 1, 16, 16).double(), ("body.0",))[1]["body.0"]
    assert found is kept[0]
