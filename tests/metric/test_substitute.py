"""Learners of pictures whose label can be seen, taught by good, wrong or too few counterfactuals."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.data.base import Images
from counterfoil.metric.bootstrap import wilson
from counterfoil.metric.boundary import apart
from counterfoil.metric.substitute import SubstituteAccuracy, substitutes

HALF = (wilson(0.75, 40)[1] - wilson(0.75, 40)[0]) / 2


@pytest.fixture
def data() -> SimpleNamespace:
    """Dark images are of class 0, bright ones of class 2; class 1 is of other images."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(90) % 3
    pixels = 60 * labels.view(-1, 1, 1, 1) + torch.randint(0, 56, (90, 1, 8, 8), generator=draw)
    images = Images(pixels.to(torch.uint8), labels)
    return SimpleNamespace(train=images, queried=images)


@pytest.fixture
def cf(make, data: SimpleNamespace) -> Counterfactuals:
    """Twenty queries of classes 0 and 2, each turned into a training image of the other class."""
    rows = (data.queried.labels != 1).nonzero()[:20, 0]
    x, y = data.queried[rows].x, data.queried.labels[rows]
    target = 2 - y
    logits = torch.nn.functional.one_hot(target, 3).float() * 9
    return replace(
        make(20), factual=x, counterfactual=x + (target - y).view(-1, 1, 1, 1) * 60 / 255, target=target,
        factual_logits=-logits, counterfactual_logits=logits,
    )  # fmt: skip


def taught(data: SimpleNamespace, cf: Counterfactuals, **options: int) -> dict[str, float]:
    made = substitutes(data, trainings=2, steps=40, **options)
    for metric in made.values():
        metric.update(cf[:7])
        metric.update(cf[7:])
    return {name: metric.figure().value for name, metric in made.items()}


def test_counterfactuals_that_look_like_their_target_teach_as_real_images_do(
    data: SimpleNamespace, cf: Counterfactuals
) -> None:
    values = taught(data, cf)
    assert values["substitute_accuracy"] > 0.9
    assert values["substitute_accuracy_real"] > 0.9


def test_unchanged_images_under_their_target_teach_the_opposite(
    data: SimpleNamespace, cf: Counterfactuals
) -> None:
    """Real images of the same number are not touched by it."""
    values = taught(data, replace(cf, counterfactual=cf.factual))
    assert values["substitute_accuracy"] < 0.1
    assert values["substitute_accuracy_real"] > 0.9


def test_those_that_are_not_valid_teach_nothing(data: SimpleNamespace, cf: Counterfactuals) -> None:
    wrong = torch.arange(20) < 10
    spoilt = replace(
        cf,
        counterfactual=torch.where(wrong.view(-1, 1, 1, 1), cf.factual, cf.counterfactual),
        counterfactual_logits=torch.where(
            wrong[:, None], -cf.counterfactual_logits, cf.counterfactual_logits
        ),
    )
    assert taught(data, spoilt)["substitute_accuracy"] > 0.9


def test_the_same_seed_gives_the_same(data: SimpleNamespace, cf: Counterfactuals) -> None:
    made = [SubstituteAccuracy(data, trainings=2, steps=20, seed=seed) for seed in (4, 4)]
    for metric in made:
        metric.update(cf)
    one, other = (metric.figure() for metric in made)
    assert one == other
    assert one.n == 40, "images of both classes that are no queries"


def test_the_interval_knows_images_and_trainings(
    data: SimpleNamespace, cf: Counterfactuals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three learners that are right on all, on 3/4 and on half of the held-out images."""
    place = torch.arange(40) / 40
    right = [torch.ones(40, dtype=torch.bool), place < 0.75, place < 0.5]

    def said(self: SubstituteAccuracy, x: object, y: object, pair: object, held: object, seed: int) -> object:
        label = apart(data.queried, [0, 2], cf.factual)[1]
        return torch.where(right[seed], label, 1 - label)

    monkeypatch.setattr(SubstituteAccuracy, "_said", said)
    one, three = SubstituteAccuracy(data, trainings=1, seed=1), SubstituteAccuracy(data, trainings=3)
    for metric in (one, three):
        metric.update(cf)
    assert one.figure()[:3] == pytest.approx((0.75, 0.75 - HALF, 0.75 + HALF))
    student = 4.30265 * 0.25 / 3**0.5
    joined = (HALF**2 + student**2) ** 0.5
    assert three.figure()[:3] == pytest.approx((0.75, 0.75 - joined, 0.75 + joined), abs=1e-4)


def test_one_target_or_none_is_not_defined(data: SimpleNamespace, cf: Counterfactuals) -> None:
    metric = SubstituteAccuracy(data)
    assert math.isnan(metric.figure().value)
    metric.update(cf[cf.target == 2])
    assert math.isnan(metric.figure().value)
