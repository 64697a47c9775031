"""The nearest example, against looking at every one."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.explainer.nearest import Nearest


def by_hand(
    classifier: nn.Module, x: Tensor, target: int, examples: Tensor, confidence: float, power: int, rank: int
) -> Tensor:
    graded = classifier(examples).softmax(1)
    fit = [
        i
        for i in range(len(examples))
        if int(graded[i].argmax()) == target and float(graded[i, target]) >= confidence
    ]
    fit = fit or [i for i in range(len(examples)) if int(graded[i].argmax()) == target]
    far = [float((examples[i] - x).abs().pow(power).sum()) for i in fit]
    order = sorted(range(len(fit)), key=lambda j: far[j])
    return examples[fit[order[min(rank, len(fit) - 1)]]]


@pytest.mark.parametrize("distance", ["l1", "l2"])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 1.0])
def test_against_brute_force(tiny_classifier: nn.Module, toy: Any, distance: Any, confidence: float) -> None:
    explainer = Nearest(tiny_classifier, distance=distance, confidence=confidence, count=2)
    explainer.fit(toy)
    x = toy.test[range(8)].x.double()
    examples = toy.train[range(len(toy.train))].x.double()
    cf = explainer(x)
    searched = 0
    for row in range(len(cf)):
        if torch.equal(cf.counterfactual[row], cf.factual[row]):
            continue
        searched += 1
        power = 1 if distance == "l1" else 2
        wanted = by_hand(
            tiny_classifier, cf.factual[row], int(cf.target[row]), examples, confidence, power, row % 2
        )
        assert torch.equal(cf.counterfactual[row], wanted)
    assert searched > 8


def test_pool_is_the_first_examples(tiny_classifier: nn.Module, toy: Any) -> None:
    explainer = Nearest(tiny_classifier, pool=6)
    explainer.fit(toy)
    known = toy.train[range(6)].x.double()
    for counterfactual in explainer(toy.test[range(4)].x.double()).counterfactual[:, None]:
        assert (counterfactual == known).flatten(1).all(1).any() or (
            counterfactual == toy.test[range(4)].x.double()
        ).flatten(1).all(1).any()


def test_a_class_that_no_example_reaches_surely_is_told(tiny_classifier: nn.Module, toy: Any) -> None:
    with torch.no_grad():
        graded = tiny_classifier(toy.train[range(len(toy.train))].x.double()).softmax(1).max(1)
    surest = {int(i): float(graded.values[graded.indices == i].max()) for i in graded.indices.unique()}
    assert len(surest) > 1, "the classifier must tell two classes"
    between = sum(sorted(surest.values())[:2]) / 2
    unsure = min(surest, key=surest.__getitem__)
    told = (
        f"in 1 of {len(surest)} classes no training example reaches the confidence of {between:g}: "
        f"{toy.class_names[unsure]} ({surest[unsure]:.8g}); there"
    )
    with pytest.warns(CounterfoilWarning, match=re.escape(told)):
        Nearest(tiny_classifier, confidence=between).fit(toy)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Nearest(tiny_classifier, confidence=between, any_class=True).fit(toy)
        Nearest(tiny_classifier, confidence=min(surest.values()) - 1e-6).fit(toy)


def test_of_many_unsure_classes_five_are_named(toy: Any, linear: Any) -> None:
    weight = torch.randn(40, 256, generator=torch.Generator().manual_seed(0))
    explainer = Nearest(linear(weight), confidence=1.0)
    with pytest.warns(CounterfoilWarning, match=r"confidence of 1: [^,;]+(, [^,;]+){4}, \.\.\.; there"):
        explainer.fit(toy)


def test_steps_and_calls(tiny_classifier: nn.Module, toy: Any) -> None:
    explainer = Nearest(tiny_classifier)
    explainer.fit(toy)
    cf = explainer(toy.test[range(4)].x.double())
    assert cf.steps.tolist() == [0] * 4
    assert cf.classifier_calls.tolist() == [2] * 4


def test_without_examples(tiny_classifier: nn.Module, toy: Any) -> None:
    with pytest.raises(UserError, match="fit"):
        Nearest(tiny_classifier)(toy.test[range(2)].x.double())


def test_a_class_without_examples_is_not_found(toy: Any, linear: Any) -> None:
    classifier = linear(torch.zeros(3, 256), torch.tensor([1.0, 0.0, -1.0]))
    explainer = Nearest(classifier)
    explainer.fit(toy)
    cf = explainer(toy.test[range(2)].x.double(), 2)
    assert not cf.valid.any()
    assert torch.equal(cf.counterfactual, cf.factual)


def test_single_precision_and_other_distances(tiny_classifier: nn.Module, toy: Any) -> None:
    explainer = Nearest(tiny_classifier.float(), distance="l2")
    explainer.fit(toy)
    whole = explainer(toy.test[range(30)].x)
    alone = torch.cat([explainer(toy.test[i : i + 1].x).counterfactual for i in range(30)])
    assert torch.equal(whole.counterfactual, alone)


def test_any_class_is_that_of_the_nearest_example_decided_otherwise(
    tiny_classifier: nn.Module, toy: Any
) -> None:
    explainer = Nearest(tiny_classifier, any_class=True)
    explainer.fit(toy)
    x = toy.test[range(8)].x.double()
    requested = tiny_classifier(x).argmin(1)
    cf = explainer(x, requested)
    examples = toy.train[range(len(toy.train))].x.double()
    graded = tiny_classifier(examples).softmax(1)
    for row in range(len(cf)):
        sure = (graded.argmax(1) != cf.source[row]) & (graded.amax(1) >= 0.5)
        far = (examples - cf.factual[row]).abs().flatten(1).sum(1).masked_fill(~sure, torch.inf)
        assert torch.equal(cf.counterfactual[row], examples[far.argmin()])
        assert cf.target[row] == graded[far.argmin()].argmax()
    assert cf.valid.all()
    assert (cf.target != requested).any()
