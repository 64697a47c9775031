"""Random candidates in shells, around a query whose boundary is a sphere of known radius."""

from __future__ import annotations

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
