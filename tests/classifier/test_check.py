"""Every fault of a classifier is named with its fix before anything is explained."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.check import Checked, check
from counterfoil.classifier.cnn import CNN
from counterfoil.classifier.order import columns
from counterfoil.core.decision import Attribute, Classes, Probabilities, Sigmoid, Threshold
from counterfoil.core.errors import UserError
from counterfoil.data.base import Batch


class Bright(nn.Module):
    """Knows the toy pictures: the logit of a class is the brightness where its bar stands."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x[:, 0, 2:14, 2 + 5 * k : 5 + 5 * k].mean((1, 2)) for k in range(3)], 1) * 10


class Changed(nn.Module):
    """Another network, with something done to its outputs or before it."""

    def __init__(self, after: Any = lambda y: y, before: Any = lambda x: x) -> None:
        super().__init__()
        self.net, self.after, self.before = Bright(), after, before

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.net(self.before(x)))


@pytest.fixture
def batch(toy: Any) -> Batch:
    return toy.test[range(30)]


def test_a_good_classifier_gives_no_warning(batch: Batch) -> None:
    assert check(Bright(), batch, 3).warnings == []


def test_probabilities_are_told_from_logits(batch: Batch) -> None:
    softmax = Changed(lambda y: y.softmax(1))
    with pytest.raises(UserError, match="decision=probabilities"):
        check(softmax, batch, 3)
    assert check(Classifier(softmax, decision=Probabilities()), batch, 3).warnings == []
    assert check(Changed(lambda y: y / 100), batch, 3).warnings == [], (
        "small positive logits are no probabilities"
    )


def test_randomness(batch: Batch) -> None:
    with pytest.raises(UserError, match="differ"):
        check(Changed(lambda y: y + 0.01 * torch.randn_like(y)), batch, 3)
    with pytest.raises(UserError, match="differ"):
        check(Changed(lambda y: nn.functional.dropout(y, 0.5, training=True)), batch, 3)


def test_all_images_are_shown_once(batch: Batch) -> None:
    """Large networks take seconds a pass; whether two runs agree is seen on a few."""
    shown: list[int] = []
    net = Bright()
    net.register_forward_hook(lambda _module, given, _output: shown.append(len(given[0])))
    check(net, Batch(batch.x.repeat(4, 1, 1, 1), batch.y.repeat(4), None), 3, gradients=False)
    assert sorted(shown) == [32, 32, 120]


@pytest.mark.parametrize(
    "changed",
    [
        Changed(lambda y: y.detach()),
        Changed(lambda y: y.round()),
        Changed(before=lambda x: (x > 0.5).float()),
        Changed(lambda y: y * 0 + torch.tensor([1.0, 2.0, 3.0])),
    ],
    ids=["detached", "rounded", "binarised", "constant"],
)
def test_no_gradient(batch: Batch, changed: nn.Module) -> None:
    with pytest.raises(UserError, match="growing_spheres"):
        check(changed, batch, 3)
    check(changed, batch, 3, gradients=False)


def test_the_fix_for_a_missing_gradient_is_one() -> None:
    """The methods that the message names say themselves that they need none."""
    from counterfoil.explainer.growing_spheres import GrowingSpheres
    from counterfoil.explainer.nearest import Nearest
    from counterfoil.explainer.wachter import Wachter

    assert not GrowingSpheres.needs_gradients
    assert not Nearest.needs_gradients
    assert Wachter.needs_gradients


def test_wrong_channels_and_size(batch: Batch) -> None:
    with pytest.raises(UserError, match=r"\(1, 16, 16\).*data\.channels"):
        check(CNN(channels=3, classes=3), batch, 3)
    with pytest.raises(UserError, match="cannot take images"):
        check(nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 3)), batch, 3)


@pytest.mark.parametrize(
    "net", [CNN(classes=10, width=4), nn.Sequential(nn.Flatten(), nn.Linear(256, 3), nn.Unflatten(1, (3, 1)))]
)
def test_wrong_classes(batch: Batch, net: nn.Module) -> None:
    with pytest.raises(UserError, match="the data have 3 classes"):
        check(net.eval(), batch, 3)


def test_not_numbers_are_not_called_noise(batch: Batch) -> None:
    for bad in (torch.nan, torch.inf):
        with pytest.raises(UserError, match=r"NaN or infinite.*classifier\.std"):
            check(Changed(lambda y, bad=bad: y + bad), batch, 3)


def test_chance_accuracy_warns_and_says_what_to_look_at(batch: Batch) -> None:
    bad = Changed(lambda y: y * torch.tensor([1.0, 0.0, 0.0]) + torch.tensor([0.0, -1.0, -2.0]))
    (warning,) = check(bad, batch, 3).warnings
    assert "no better than chance" in warning
    assert "classifier.mean" in warning


def test_accuracy_is_that_of_the_labels(batch: Batch) -> None:
    assert check(Bright(), batch, 3).accuracy == 1.0
    half = batch._replace(y=torch.where(torch.arange(30) < 15, batch.y, (batch.y + 1) % 3))
    found = check(Bright(), half, 3)
    assert (found.accuracy, found.images) == (0.5, 30)


def test_another_order_of_the_outputs_is_told_with_the_one_that_fits(batch: Batch) -> None:
    """Outputs middle, right, left: the names to paste are those, and with them all is well."""
    rolled, names = Changed(lambda y: y.roll(-1, 1)), ("left", "middle", "right")
    (warning,) = check(Classifier(rolled, class_names=names), batch, 3).warnings
    assert "accuracy 0.000 on 30 images, 1.000 in the order that fits" in warning
    assert """set 'classifier.class_names=["middle","right","left"]'""" in warning
    mended = Classifier(rolled, class_names=names, order=columns(["middle", "right", "left"], names))
    assert check(mended, batch, 3) == Checked([], 1.0, 30)
    wrong = Classifier(rolled, class_names=names, order=columns(["right", "middle", "left"], names))
    (warning,) = check(wrong, batch, 3).warnings
    assert """set 'classifier.class_names=["middle","right","left"]'""" in warning


def raw(outputs: Any, decision: Any) -> Classifier:
    return Classifier(Changed(outputs), decision=decision)


@pytest.mark.parametrize(
    ("outputs", "decision", "fix"),
    [
        (lambda y: y.sigmoid(), Classes(), "set decision=sigmoid, or remove its last sigmoid"),
        (lambda y: y[:, :1].sigmoid(), Classes(), "set decision=sigmoid, or"),
        (lambda y: y.sigmoid(), Attribute("A", 1), "set decision=sigmoid classifier.decision.name=A, or"),
        (lambda y: y.softmax(1), Classes(), "set decision=probabilities"),
        (lambda y: y.softmax(1), Sigmoid(), "set decision=probabilities"),
        (lambda y: y.softmax(1), Attribute(index=1), "set decision=probabilities"),
        (lambda y: y.sigmoid(), Probabilities(), "set decision=sigmoid"),
        (lambda y: y.log_softmax(1), Probabilities(), "set decision=logits, which takes log-prob"),
        (lambda y: y - 3, Sigmoid(), "set decision=logits"),
        (lambda y: y - 3, Sigmoid("A", 1), "set decision=attribute"),
    ],
)
def test_a_rule_that_reads_another_kind_of_output_is_told(
    batch: Batch, outputs: Any, decision: Any, fix: str
) -> None:
    classes = 2 if decision.class_names or outputs(torch.rand(1, 3)).shape[1] == 1 else 3
    with pytest.raises(UserError, match=fix):
        check(raw(outputs, decision), batch._replace(y=batch.y % classes), classes)


@pytest.mark.parametrize(
    ("outputs", "decision"),
    [
        (lambda y: y.sigmoid(), Sigmoid()),
        (lambda y: y.softmax(1), Probabilities()),
        (lambda y: y.log_softmax(1), Classes()),
        (lambda y: y[:, :, None, None], Classes()),
        (lambda y: {"logits": y}, Classes()),
    ],
)
def test_each_kind_of_output_has_a_rule(batch: Batch, outputs: Any, decision: Any) -> None:
    assert check(raw(outputs, decision), batch, 3) == Checked([], 1.0, 30)


def test_a_rule_on_a_regression_has_no_accuracy(batch: Batch) -> None:
    regression = Classifier(Changed(lambda y: y[:, :1]), decision=Threshold(0.3))
    assert check(regression, batch, 3, labelled=False).warnings == []


def test_an_attribute_of_another_network_is_told(batch: Batch) -> None:
    with pytest.raises(UserError, match="column 7"):
        check(Classifier(Bright(), decision=Attribute("Smiling", 7)), batch, 2)


@pytest.mark.parametrize(
    "error", [IndexError, AssertionError, TypeError, ValueError, KeyError, AttributeError]
)
def test_whatever_a_foreign_network_raises_is_one_line(batch: Batch, error: type[Exception]) -> None:
    def fail(_x: Tensor) -> Tensor:
        raise error

    with pytest.raises(UserError, match=error.__name__):
        check(Changed(before=fail), batch, 3)
