"""IM1 and IM2 with autoencoders that multiply an image: class k by (k + 1) / 4, all classes by 1 / 8."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from counterfoil.metric.manifold import IM1, IM2


@pytest.fixture
def cf(make):
    logits = torch.eye(3)[torch.tensor([0, 2, 1])]
    return replace(
        make(3),
        counterfactual=torch.full((3, 2, 4, 5), 0.5),
        target=torch.tensor([2, 0, 1]),
        factual_logits=logits,
    )


def test_im1_by_hand(cf, parts):
    """x' = .5 on 40 values: an error of (1 - f)² · 10 for the factor f."""
    error = [10 * (1 - f) ** 2 for f in (0.25, 0.5, 0.75)]
    expected = [error[2] / (error[0] + 1e-5), error[0] / (error[2] + 1e-5), 1.0]
    assert IM1(parts.autoencoders).score(cf).tolist() == pytest.approx(expected, rel=1e-5)


def test_im2_by_hand(cf, parts):
    """Disagreement (f - 1/8)² · 10 over a sum of 20."""
    expected = [10 * (f - 0.125) ** 2 / 20 for f in (0.75, 0.25, 0.5)]
    assert IM2(parts.autoencoders).score(cf).tolist() == pytest.approx(expected, rel=1e-5)


def test_black_image_and_perfect_autoencoder_stay_finite(cf):
    class Perfect:
        def reconstruct(self, x, which):
            return x

    black = replace(cf, counterfactual=torch.zeros_like(cf.counterfactual))
    for metric in (IM1(Perfect()), IM2(Perfect())):
        assert metric.score(black).tolist() == [0, 0, 0]
