"""Gradient search on the input, against counterfactuals on paper."""

from __future__ import annotations

import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from counterfoil.core.errors import UserError
from counterfoil.explainer.wachter import Wachter
from counterfoil.search import Flip


def closed_form(weight: Tensor, x: Tensor, confidence: float) -> Tensor:
    """x + gap * w / ||w||^2: the nearest point in L2 where a linear classifier gives class 1 this value."""
    w = weight[1] - weight[0]
    gap = math.log(confidence / (1 - confidence)) - x.flatten(1) @ w
    return x + (gap[:, None] * w / w.square().sum()).view_as(x)


@pytest.fixture
def problem(linear: Any, seeded: torch.Generator) -> tuple[Any, Tensor]:
    """A linear classifier of 5 x 5 images, and five grey ones that it puts in class 0."""
    weight = torch.randn(2, 25, generator=seeded, dtype=torch.float64)
    weight -= weight.mean(1, keepdim=True)
    x = 0.5 + 0.1 * torch.rand(200, 1, 5, 5, generator=seeded, dtype=torch.float64)
    classifier = linear(weight)
    return classifier, x[classifier(x).argmax(1) == 0][:5]


@pytest.mark.parametrize("confidence", [0.5, 0.9])
def test_linear_classifier_in_l2_meets_the_closed_form(
    problem: tuple[Any, Tensor], confidence: float
) -> None:
    classifier, x = problem
    search: dict[str, Any] = {
        "bisect": True,
        "lambda_": 0.1,
        "rounds": 8,
        "steps": 400,
        "lr": 0.001,
        "patience": None,
    }
    explainer = Wachter(classifier, distance="l2", scale=25.0, confidence=confidence, **search)
    cf = explainer(x, 1)
    best = closed_form(classifier.weight.detach(), x, confidence)
    assert best.min() > 0
    assert best.max() < 1
    distance, shortest = (y.sub(x).flatten(1).norm(dim=1) for y in (cf.counterfactual, best))
    assert (cf.target_probability >= confidence).all()
    assert (distance >= shortest * (1 - 1e-9)).all(), (
        "nearer than the nearest: the closed form or the grading is wrong"
    )
    assert (distance <= shortest * 1.05).all()
    assert ((cf.counterfactual - best).flatten(1).norm(dim=1) <= 0.3 * shortest).all()


def test_l1_changes_fewer_pixels_than_l2(problem: tuple[Any, Tensor]) -> None:
    classifier, x = problem
    changed = {}
    for distance in ("l1", "l2"):
        explainer = Wachter(
            classifier, distance=distance, scale=25.0, steps=200, lr=0.01, patience=None, confidence=0.9
        )
        delta = explainer(x, 1).delta.abs()
        changed[distance] = float((delta > 0.2 * delta.amax()).double().mean())
    assert changed["l1"] < changed["l2"]


def test_squared_error_stands_still_where_the_classifier_is_sure_and_cross_entropy_does_not(
    linear: Any,
) -> None:
    """The reason for the departure from the paper's loss."""
    weight = torch.zeros(2, 4).index_fill_(0, torch.tensor(0), 100.0)
    x = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64)
    moved = {}
    for flip in ("squared_error", "cross_entropy"):
        explainer = Wachter(
            linear(weight, torch.tensor([0.0, 150.0])),
            flip=flip,
            distance="l2",
            rounds=1,
            steps=30,
            lr=0.02,
            scale=1.0,
        )
        moved[flip] = float(explainer(x, 1).counterfactual.sub(x).abs().max())
    assert moved["squared_error"] < 0.02 < 0.1 < moved["cross_entropy"], (
        "one step's length is Adam's own noise"
    )


def test_a_hinge_also_finds_a_counterfactual(problem: tuple[Any, Tensor]) -> None:
    classifier, x = problem
    assert Wachter(classifier, flip="hinge", lr=0.01)(x, 1).valid.all()


@pytest.mark.parametrize("flip", get_args(Flip))
def test_every_flip_term_can_be_chosen(problem: tuple[Any, Tensor], flip: Any) -> None:
    classifier, x = problem
    assert bool(Wachter(classifier, flip=flip, confidence=0.6)(x, 1).valid.all())


def test_a_query_that_fails_weighs_the_flip_more(linear: Any) -> None:
    """Under the first trade-off alone the distance wins; ten times more and the counterfactual is valid."""
    weight = torch.tensor([[1.0] * 4, [-1.0] * 4])
    x = torch.full((1, 1, 2, 2), 0.7, dtype=torch.float64)
    options: dict[str, Any] = {"scale": 20.0, "steps": 200, "lr": 0.01, "confidence": 0.6}
    assert not Wachter(linear(weight, torch.tensor([-2.0, 2.0])), rounds=1, **options)(x, 1).valid.any()
    cf = Wachter(linear(weight, torch.tensor([-2.0, 2.0])), rounds=2, **options)(x, 1)
    assert cf.valid.all()
    assert cf.steps.item() > 200


@pytest.mark.parametrize("option", ["flip", "distance"])
def test_unknown_terms_are_named(option: str) -> None:
    with pytest.raises(UserError, match=rf"{option}=l7 is not supported; choose one of"):
        Wachter(nn.Identity(), **{option: "l7"})  # type: ignore[arg-type]
