"""check_classifier passes what can be explained, and says in plain words what cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.cnn import CNN
from counterfoil.core.errors import UserError
from counterfoil.testing import Broken, TinyClassifier, check_classifier


class Altered(nn.Module):
    """A sound classifier whose inputs or logits something is done to."""

    def __init__(self, after: Callable[[Tensor], Any] | None = None, before: Any = None) -> None:
        super().__init__()
        self.net, self.after, self.before = TinyClassifier(), after or (lambda y: y), before or (lambda x: x)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Any:
        return self.after(self.net(self.before(x)))


class Counting(Altered):
    """Learns while it is used."""

    def forward(self, x: Tensor) -> Any:
        self.calls += 1
        return super().forward(x)


def refuses_gradients(y: Tensor) -> Tensor:
    if y.requires_grad:
        raise UserError("no gradients here")
    return y


def float_alone(x: Tensor) -> Tensor:
    if x.dtype != torch.float32:
        raise TypeError("float32 alone")
    return x


def coloured() -> Classifier:
    """Of random weights, whose logits are never all between 0 and 1."""
    net = CNN(3, 5, width=4)
    with torch.no_grad():
        net.head[-1].bias[0] = -2.0
    return Classifier(net, 0.5, 0.5)


@pytest.mark.parametrize(
    ("net", "x", "told"),
    [
        (TinyClassifier(), None, ["gradients: wachter", "float32 and in float64", "3 logits per image"]),
        (
            coloured(),
            torch.rand(3, 3, 32, 32),
            ["It has gr", "It runs", "5 log"],
        ),
        (Altered(lambda y: {"logits": y, "more": y}), None, ["It has gradients", "It runs", "3 logits"]),
        (Altered(lambda y: y[:, 0]), None, ["It has gradients", "It runs", "the second of two classes"]),
        (Altered(lambda y: y.detach()), None, ["no gradients: wachter", "It runs", "3 logits"]),
        (
            Altered(refuses_gradients),
            None,
            ["black-box methods will, exp", "It runs", "3 logits"],
        ),
        (Altered(before=float_alone), None, ["It has", "not run in float64 (float32 alone)", "3 logits"]),
        (Altered(lambda y: y.float()), None, ["It has", "puts out torch.float32 for float64", "3 logits"]),
    ],
)
def test_what_will_work_is_told(net: nn.Module, x: Tensor | None, told: list[str]) -> None:
    found = check_classifier(net, x)
    assert len(found) == len(told)
    assert all(part in line for part, line in zip(told, found, strict=True)), found


@pytest.mark.parametrize(
    ("net", "told"),
    [
        (Altered(lambda y: y.softmax(1)), "puts out probabilities that sum to 1; set decision=probabilities"),
        (Altered(lambda y: y.sigmoid()), "as a sigmoid does; set decision=sigmoid, or drop it"),
        (Altered(lambda y: y * float("nan")), "puts out values that are not finite"),
        (Altered(lambda y: y[:, :1].expand(-1, 3)), "puts out the same for every class"),
        (Altered(lambda y: y.argmax(1)), "is not read: classifier: puts out torch.int64"),
        (Altered(lambda y: y[:, :, None].repeat(1, 1, 2)), "is not read: classifier: puts out (3, 2)"),
        (Altered(before=lambda x: x.repeat(1, 3, 1, 1)), "cannot take images of shape (1, 16, 16)"),
        (Altered(lambda y: F.dropout(y, 0.5)), "is not deterministic: two calls"),
        (
            Altered(lambda y: F.batch_norm(y, None, None, training=True)),
            "depends on the batch: it fails",
        ),
        (Altered(lambda y: y - y.mean(0)), "depends on the batch: an image's logits are"),
        (Altered(before=lambda x: x.mul_(0.5)), "changes the images that it is given"),
        (Counting(), "changes while it is used: calls is not what it was"),
        (Altered(lambda y: y + 0 * torch.rand(3)), "draws from the caller's random stream"),
        (Altered(lambda y: y.round()), "has a gradient of zero everywhere"),
        (Altered(lambda y: y + (0 * y).sqrt()), "has gradients that are not finite"),
    ],
)
def test_what_breaks_it_is_told_in_one_sentence(net: nn.Module, told: str) -> None:
    with pytest.raises(Broken) as caught:
        check_classifier(net)
    assert told in str(caught.value)
    assert str(caught.value).startswith(f"{type(net).__name__} ")
    assert "\n" not in str(caught.value).strip()


def test_the_network_itself_is_left_alone() -> None:
    net = Counting().train()
    with pytest.raises(Broken):
        check_classifier(net)
    assert net.training
    assert float(net.calls) == 0
