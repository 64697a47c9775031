"""Distances against hand values and numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from counterfoil.core.errors import UserError
from counterfoil.metric.proximity import L1, L2, LInf, Sparsity


def test_hand_values(make):
    """4 x 5 pixels, 2 channels: .3 and -.4 on one pixel, .05 on a second, .25 on one channel of a third."""
    delta = torch.zeros(1, 2, 4, 5)
    delta[0, 0, 0, 0], delta[0, 1, 0, 0], delta[0, 0, 1, 1], delta[0, 1, 2, 2] = 0.3, -0.4, 0.05, 0.25
    factual = torch.full((1, 2, 4, 5), 0.5)
    cf = replace(make(1), factual=factual, counterfactual=factual + delta)
    assert float(L1().score(cf)) == pytest.approx(1.0 / 40, rel=1e-5)
    assert float(L2().score(cf)) == pytest.approx((0.09 + 0.16 + 0.0025 + 0.0625) ** 0.5, rel=1e-5)
    assert float(LInf().score(cf)) == pytest.approx(0.4, rel=1e-5)
    assert float(Sparsity().score(cf)) == pytest.approx(2 / 20)
    assert float(Sparsity(tau=0.01).score(cf)) == pytest.approx(3 / 20)


def test_numpy_agrees(make):
    cf = make(9)
    delta = (cf.counterfactual - cf.factual).numpy()
    np.testing.assert_allclose(L1().score(cf), np.abs(delta).reshape(9, -1).mean(1), rtol=1e-5)
    np.testing.assert_allclose(L2().score(cf), [np.linalg.norm(row.ravel()) for row in delta], rtol=1e-5)
    np.testing.assert_allclose(LInf().score(cf), np.abs(delta).max((1, 2, 3)))
    np.testing.assert_allclose(Sparsity(0.2).score(cf), (np.abs(delta) > 0.2).any(1).mean((1, 2)))


@pytest.mark.parametrize("metric", [L1(), L2(), LInf(), Sparsity()])
def test_unchanged_image_is_at_zero_and_opposite_at_the_maximum(metric, make):
    cf = make(2)
    assert metric.score(replace(cf, counterfactual=cf.factual)).tolist() == [0, 0]
    far = replace(cf, factual=torch.zeros_like(cf.factual), counterfactual=torch.ones_like(cf.factual))
    assert metric.score(far).tolist() == pytest.approx([40**0.5 if metric.name == "l2" else 1.0] * 2)


def test_sparsity_refuses_a_threshold_out_of_range():
    with pytest.raises(UserError, match="tau"):
        Sparsity(tau=25)
