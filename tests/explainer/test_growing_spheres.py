"""Random candidates in shells, around a query whose boundary is a sphere of known radius."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterfoil.explainer.growing_spheres import GrowingSpheres


class Ball(nn.Module):
    """Class 1 outside a ball around mid-grey, and only outputs: asking for gradients is an error."""

    def __init__(self, radius: float) -> None:
        super().__init__()
        self.radius = radius
        self.largest = 0

    def forward(self, x: Tensor) -> Tensor:
        assert not torch.is_grad_enabled(), "a black-box method requested gradients"
        self.largest = max(self.largest, len(x))
        margin = 50 * ((x - 0.5).flatten(1).norm(dim=1) - self.radius)
        return torch.stack((-margin / 2, margin / 2), 1)


@pytest.fixture
def grey() -> Tensor:
    return torch.full((3, 1, 16, 16), 0.5, dtype=torch.float64)


@pytest.mark.parametrize("radius", [0.4, 1.5, 3.0])
def test_radius_is_met_within_its_shell(grey: Tensor, radius: float) -> None:
    eta, growth = 0.5, 1.2
    inner, width, shells = 0.0, eta, 1
    while inner + width < radius:
        inner, width, shells = inner + width, width * growth, shells + 1
    ball = Ball(radius)
    cf = GrowingSpheres(ball, eta=eta, growth=growth, shells=20, n=50, groups=0)(grey, 1)
    found = cf.delta.flatten(1).norm(dim=1)
    assert cf.valid.all()
    assert (found >= radius).all()
    assert (found <= inner + width).all()
    assert cf.steps.tolist() == [shells] * 3
    assert cf.classifier_calls.tolist() == [shells * 50 + 2] * 3


def test_undoing_brings_the_counterfactual_to_the_boundary(grey: Tensor) -> None:
    options = {"eta": 2.0, "n": 30}
    whole = GrowingSpheres(Ball(1.0), groups=0, **options)(grey, 1)
    undone = GrowingSpheres(Ball(1.0), groups=64, **options)(grey, 1)
    assert undone.valid.all()
    near, far = (cf.delta.flatten(1).norm(dim=1) for cf in (undone, whole))
    assert (near <= far).all()
    assert (near < far).any()
    assert (undone.delta != 0).sum() < (whole.delta != 0).sum()
    assert (undone.classifier_calls - whole.classifier_calls).tolist() == [64] * 3


def test_not_found_keeps_the_likeliest_and_stops(grey: Tensor) -> None:
    cf = GrowingSpheres(Ball(8.0), shells=4, n=20)(grey, 1)
    assert not cf.valid.any()
    assert cf.steps.tolist() == [4] * 3
    assert (cf.delta.flatten(1).norm(dim=1) > 1 + 1.3).all(), "the likeliest lies in the outer shells"


def test_never_shows_more_than_a_chunk(grey: Tensor) -> None:
    ball = Ball(1.0)
    small = GrowingSpheres(ball, n=40, chunk=16)(grey, 1)
    assert ball.largest <= 16
    assert torch.equal(
        small.counterfactual, GrowingSpheres(Ball(1.0), n=40, chunk=4096)(grey, 1).counterfactual
    )


def test_any_other_class_is_whichever_is_met_first(linear: Any) -> None:
    """Class 2 lies nearer than the target requested; the other row starts there."""
    weight = torch.zeros(3, 256)
    weight[1:, 0] = torch.tensor([-40.0, 40.0])
    classifier = linear(weight, torch.tensor([0.0, 2.0, -26.0]))
    x = torch.full((2, 1, 16, 16), 0.5, dtype=torch.float64)
    x[1] = 0.99
    options = {"eta": 1.0, "n": 200, "shells": 12, "confidence": 0.6}
    assert classifier(x).argmax(1).tolist() == [0, 2]
    free = GrowingSpheres(classifier, any_class=True, **options)(x, 1)
    bound = GrowingSpheres(classifier, **options)(x[:1], 1)
    assert bound.target.tolist() == [1]
    assert free.target.tolist() == [2, 0]
    assert free.valid.all()
    assert (free.target_probability >= 0.6).all()
    assert free.delta[0].norm() < bound.delta[0].norm()


def test_what_fails_tells_the_class_it_was_led_to(grey: Tensor) -> None:
    cf = GrowingSpheres(Ball(8.0), shells=2, n=20, any_class=True)(grey, 0)
    assert cf.target.tolist() == [0] * 3, "what is decided for the target already stays"
    cf = GrowingSpheres(Ball(8.0), shells=2, n=20, any_class=True)(grey, 1)
    assert not cf.valid.any()
    assert cf.target.tolist() == [1] * 3
