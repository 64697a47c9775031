"""A judge passes the classifier's checks, in its own name, and is doubted where it cannot know better."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.classifier.base import Classifier
from counterfoil.classifier.trust import check_judge, of_judge
from counterfoil.core.errors import UserError
from counterfoil.data.base import Batch

NAMES = ("left", "middle", "right")


class Bright(nn.Module):
    """Knows the toy pictures: the logit of a class is the brightness where its bar stands."""

    def __init__(self, classes: int = 3, shift: int = 0, scale: float = 10.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))
        self.classes, self.shift = classes, shift

    def forward(self, x: Tensor) -> Tensor:
        said = [x[:, 0, 2:14, 2 + 5 * k : 5 + 5 * k].mean((1, 2)) for k in range(3)]
        return self.scale * torch.stack([*said, *said], 1).roll(self.shift, 1)[:, : self.classes]


def named(net: nn.Module, names: tuple[str, ...] = NAMES) -> Classifier:
    return Classifier(net, class_names=names)


@pytest.fixture
def batch(toy: Any) -> Batch:
    return toy.test[range(30)]


def test_a_good_judge_is_believed(batch: Batch) -> None:
    assert check_judge(named(Bright(scale=9.0)), named(Bright()), batch) == ""


def test_what_cures_a_classifier_cures_a_judge_under_its_own_options(batch: Batch) -> None:
    soft = named(nn.Sequential(Bright(), nn.Softmax(1)))
    with pytest.raises(UserError, match=r"^judge: returns prob.* set decision@judge\.decision=probabilities"):
        check_judge(soft, named(Bright()), batch)
    doubt = check_judge(named(Bright(shift=1)), named(Bright()), batch)
    assert """set 'judge.class_names=["right","left","middle"]'""" in doubt


def test_what_no_judge_can_be_is_refused(batch: Batch) -> None:
    own, nan = named(Bright()), Bright()
    nan.scale.data.fill_(torch.nan)
    refused = {
        "judge: is the classifier itself": own,
        "judge: is the classifier itself, so it cannot judge": named(Bright()),
        "judge: tells 2 classes, the classifier 3": named(Bright(2), NAMES[:2]),
        "judge: its logits hold NaN or infinite values": named(nan),
        "judge: two runs on the same images differ": named(nn.Sequential(Bright(), Noisy())),
        "judge: cannot take images of shape": named(nn.Linear(7, 3)),
    }
    for said, judge in refused.items():
        with pytest.raises(UserError) as caught:
            check_judge(judge, own, batch)
        assert str(caught.value).startswith(said)
        assert "\n" not in str(caught.value)


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 0.1 * torch.randn_like(x)


def test_a_judge_no_better_than_chance_is_doubted(batch: Batch) -> None:
    doubt = check_judge(named(Bright(shift=1)), named(Bright()), batch)
    assert doubt.startswith("judge: ")
    assert "judge." in doubt
    assert "classifier" not in doubt
    assert check_judge(named(Bright(shift=1)), named(Bright()), batch, labelled=False) == ""


def test_a_judge_of_other_classes_is_doubted(batch: Batch) -> None:
    doubt = check_judge(named(Bright(scale=9.0), ("cat", "dog", "bird")), named(Bright()), batch)
    assert doubt == "judge: tells other classes (cat, dog, bird) than the classifier (left, middle, right)"
    names = tuple(map(str, range(1000)))
    assert len(check_judge(named(Bright(scale=9.0), names), named(Bright()), batch)) < 120


def test_names_of_modules_stay() -> None:
    said = "classifier: set classifier.decision._target_=counterfoil.core.decision.Sigmoid, or choose another"
    assert of_judge(said).startswith("judge: set judge.decision._target_=counterfoil.core.decision.Sigmoid")
