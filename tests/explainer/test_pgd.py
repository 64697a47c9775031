"""Projected gradient descent with a linear classifier."""

from __future__ import annotations

from typing import Any

import torch

from counterfoil.explainer.pgd import PGD


def test_every_pixel_moves_a_step_by_the_sign_of_its_gradient(linear: Any) -> None:
    weight = torch.tensor([[0.0, 0.0, 0.0, 0.0], [3.0, -2.0, 0.01, 0.0]])
    x = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64)
    cf = PGD(linear(weight, torch.tensor([0.55, 0.0])), alpha=0.05, confidence=0.5)(x, 1)
    assert cf.valid.all()
    assert cf.steps.tolist() == [1]
    expected = torch.tensor([0.05, -0.05, 0.05, 0.0], dtype=torch.float64)
    torch.testing.assert_close(cf.delta.flatten(), expected)


def test_nothing_leaves_the_ball(linear: Any) -> None:
    weight = torch.tensor([[0.0] * 4, [1.0, -1.0, 1.0, -1.0]])
    x = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64)
    cf = PGD(linear(weight, torch.tensor([10.0, 0.0])), epsilon=0.2, alpha=0.05, count=2)(x, 1)
    assert not cf.valid.any()
    assert float(cf.delta.abs().max()) <= 0.2 + 1e-12
    torch.testing.assert_close(cf.delta[0].abs(), torch.full_like(cf.delta[0], 0.2))
